// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>

namespace ctr {

// `cannot open "x": No such file or directory`, from errno.
[[noreturn]] void fail_system(const char* verb, const std::string& path);

// Writes all bytes at the descriptor's position. Errors show the file as `shown`.
void write_or_fail(int fd, const void* data, size_t bytes, const std::string& shown);

// Replaces `to`; errors show it as `shown`.
void rename_or_fail(const std::string& from, const std::string& to, const std::string& shown);

}  // namespace ctr
