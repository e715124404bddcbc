// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>

#include "io/local_file.h"

namespace ctr {

// `cannot open "x": No such file or directory`, from errno.
[[noreturn]] void fail_system(const char* verb, const std::string& path);

// Opens a file or, for writing, a character device such as /dev/null. Refuses anything else instead of
// waiting for the other end of a pipe. Errors show it as `shown`.
FileDescriptor open_file(const std::string& path, int flags, const std::string& shown, const char* verb);
// The same; -1 where there is nothing of that name.
FileDescriptor open_if_there(const std::string& path, int flags, const std::string& shown, const char* verb);

// Writes all bytes at the descriptor's position. Errors show the file as `shown`.
void write_or_fail(int fd, const void* data, size_t bytes, const std::string& shown);

// Replaces `to`; errors show it as `shown`.
void rename_or_fail(const std::string& from, const std::string& to, const std::string& shown);

}  // namespace ctr
