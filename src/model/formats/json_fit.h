// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <type_traits>
#include <utility>
#include <vector>

namespace ctr {

template <class T>
struct IsVector : std::false_type {};
template <class T>
struct IsVector<std::vector<T>> : std::true_type {};

// Whether a JSON value keeps its meaning as a T: Json::get would also cut reals to integers, wrap large
// integers around, and make infinities of reals that no float holds.
template <class T, class Value>
bool fits(const Value& value) {
  if constexpr (IsVector<T>::value) {
    return value.is_array() && std::all_of(value.begin(), value.end(), fits<typename T::value_type, Value>);
  } else if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>) {
    if (value.is_number_unsigned()) return std::in_range<T>(value.template get<uint64_t>());
    return value.is_number_integer() && std::in_range<T>(value.template get<int64_t>());
  } else if constexpr (std::is_same_v<T, float>) {
    return !value.is_number() || std::isfinite(value.template get<float>());
  } else {
    return true;
  }
}

}  // namespace ctr
