// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <type_traits>

namespace ctr {

// Calls f(std::bool_constant<accumulate>), so that a hot loop knows at compile time whether it writes or
// adds.
template <class F>
void with_accumulate(bool accumulate, F&& f) {
  if (accumulate)
    f(std::true_type{});
  else
    f(std::false_type{});
}

template <bool kAccumulate>
inline void store(float& target, float value) {
  target = kAccumulate ? target + value : value;
}

}  // namespace ctr
