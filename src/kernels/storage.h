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

// Calls f with the first element of a tensor whose storage type is not that of the kernel's slot.
template <class F>
void with_first(const Tensor& t, F&& f) {
  if (t.dtype() == DType::bf16)
    f(t.first<bf16>());
  else
    f(t.first<float>());
}
// The same with a packed tensor's elements.
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
void copy_as(const float* from, int64_t n, bf16* to);
void copy_as(const bf16* from, int64_t n, float* to);
template <class T>
inline void copy_as(const T* from, int64_t n, T* to) {
  std::copy_n(from, n, to);
}

// to[i] += from[i]
void add_as(const float* from, int64_t n, float* to);
void add_as(const float* from, int64_t n, bf16* to);
void add_as(const bf16* from, int64_t n, bf16* to);

template <class From, class To>
void put_as(const From* from, int64_t n, To* to, bool accumulate) {
  if (accumulate)
    add_as(from, n, to);
  else
    copy_as(from, n, to);
}

inline constexpr int64_t kCacheLine = 64;

// Fetches the cache lines of n elements that will be written, while others are still computed.
template <class T>
inline void prefetch_to_write(const T* to, int64_t n) {
  const auto* bytes = reinterpret_cast<const char*>(to);
  for (int64_t i = 0; i < n * static_cast<int64_t>(sizeof(T)); i += kCacheLine)
    __builtin_prefetch(bytes + i, 1);
}

// A run of n elements that is worked on in float: float storage in place, other storage in `buffer`, from
// where flush() rounds it.
template <class T>
class FloatRun {
 public:
  FloatRun(T* target, int64_t n, float* buffer) : target_(target), n_(n), buffer_(buffer) {}

  float* data() const {
    if constexpr (std::is_same_v<T, float>)
      return target_;
    else
      return buffer_;
  }
  // What the target holds, or zeros.
  float* start(bool accumulate) const {
    if (!accumulate)
      std::fill_n(data(), n_, 0.0f);
    else if constexpr (!std::is_same_v<T, float>)
      copy_as(target_, n_, buffer_);
    return data();
  }
  void flush() const {
    if constexpr (!std::is_same_v<T, float>) copy_as(buffer_, n_, target_);
  }

 private:
  T* target_;
  int64_t n_;
  float* buffer_;
};

}  // namespace ctr
