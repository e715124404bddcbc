// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <type_traits>

namespace ctr {

inline constexpr int64_t kMaxRowWidth = 1024;

// Calls f with the width of a row: as a constant where loops over common widths shall be unrolled, else as a
// number.
template <class F>
void with_width(int64_t width, F&& f) {
  switch (width) {
    case 1: return f(std::integral_constant<int64_t, 1>{});
    case 16: return f(std::integral_constant<int64_t, 16>{});
    case 32: return f(std::integral_constant<int64_t, 32>{});
    case 64: return f(std::integral_constant<int64_t, 64>{});
    case 128: return f(std::integral_constant<int64_t, 128>{});
    default: return f(width);
  }
}

}  // namespace ctr
