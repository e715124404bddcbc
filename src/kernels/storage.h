// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "base/tensor.h"

namespace ctr {

// CPU kernels are templates over the storage type of activations, float or bf16: they load to float, compute,
// and store rounded once.

// Calls f(std::bool_constant<accumulate>), so that a hot loop knows at compile time whether it writes or
// adds.
template <class F>
void with_accumulate(bool accumulate, F&& f) {
  if (accumulate)
    f(std::true_type{});
  else
    f(std::false_type{});
}

// Calls f with the elements of a tensor whose storage type is not that of the kernel's slot.
template <class F>
void with_elements(const Tensor& t, F&& f) {
  if (t.dtype() == DType::bf16)
    f(t.data<bf16>());
  else
    f(t.data<float>());
}

template <bool kAccumulate, class T>
inline void store(T& target, float value) {
  target = from_float<T>(kAccumulate ? to_float(target) + value : value);
}

// to[i] = from[i]
template <class From, class To>
inline void copy_as(const From* from, int64_t n, To* to) {
  if constexpr (std::is_same_v<From, To>)
    std::copy_n(from, n, to);
  else
    for (int64_t i = 0; i < n; ++i) store<false>(to[i], to_float(from[i]));
}

}  // namespace ctr
