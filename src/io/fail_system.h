// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace ctr {

// `cannot open "x": No such file or directory`, from errno.
[[noreturn]] void fail_system(const char* verb, const std::string& path);

}  // namespace ctr
