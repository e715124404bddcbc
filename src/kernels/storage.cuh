// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cuda_fp16.h>

#include "base/dtype.h"

namespace ctr::cuda {

// Storage types on the device: kernels load to float, compute, and store rounded.
__device__ inline float load(float v) { return v; }
__device__ inline float load(bf16 v) { return __uint_as_float(uint32_t{v.bits} << 16); }
__device__ inline float load(f16 v) { return __half2float(__ushort_as_half(v.bits)); }

// Of memory that the kernel does not write: such reads need not wait for stores.
__device__ inline float load_constant(const float* p) { return __ldg(p); }
template <class T>
__device__ inline float load_constant(const T* p) {
  return load(T{__ldg(&p->bits)});
}

template <class T>
__device__ inline T rounded(float v);
template <>
__device__ inline float rounded<float>(float v) {
  return v;
}
template <>
__device__ inline bf16 rounded<bf16>(float v) {
  const uint32_t u = __float_as_uint(v);
  if ((u & 0x7fffffffu) > 0x7f800000u) return {static_cast<uint16_t>((u >> 16) | 0x40u)};
  return {static_cast<uint16_t>((u + 0x7fffu + ((u >> 16) & 1u)) >> 16)};
}
template <>
__device__ inline f16 rounded<f16>(float v) {
  return {__half_as_ushort(__float2half_rn(v))};
}

template <class T>
__device__ inline void store(T& target, float v, bool accumulate) {
  target = rounded<T>(accumulate ? load(target) + v : v);
}

// N values that travel in one access.
template <class T, int N>
struct alignas(sizeof(T) * N) Pack {
  T v[N];
};
template <class T>
inline constexpr int kPack = 16 / sizeof(T);

template <class... P>
bool are_aligned(const P*... pointers) {
  return ((reinterpret_cast<uintptr_t>(pointers) % 16 == 0) && ...);
}

// Calls f(T{}) for every storage type of activations, to fill slots: f = []<class T>(T) { relu.set(...); }.
template <class F>
void for_storage_types(F&& f) {
  f(float{});
  f(f16{});
  f(bf16{});
}

// Calls f(T{}) for the storage type of a tensor.
template <class F>
void with_storage_type(DType dtype, F&& f) {
  if (dtype == DType::bf16) return f(bf16{});
  if (dtype == DType::f16) return f(f16{});
  f(float{});
}

}  // namespace ctr::cuda
