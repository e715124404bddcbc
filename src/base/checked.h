// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace ctr {

// Numbers as users give them: sizes may be anything, and what is computed from them must not wrap around.
// All throw invalid_argument.
int64_t checked_sum(int64_t a, int64_t b);
int64_t checked_product(int64_t a, int64_t b);

// `value` as the library computes with it: finite as a 32-bit float. `name` is the argument's.
float checked_float(std::string_view name, double value);
float checked_nonnegative(std::string_view name, double value);

// A float as a user would write it: digits that read back as the same float, and all of a whole number's.
std::string readable(float value);

}  // namespace ctr
