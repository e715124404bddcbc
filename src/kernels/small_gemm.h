// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "base/dtype.h"

namespace ctr {

// c[m, n] = a[m, k] b[k, n] (+ c) on one CPU thread, row-major with row strides. For operands that fit the
// cache.
void small_gemm(int64_t m, int64_t n, int64_t k, const float* a, int64_t a_stride, const float* b,
                int64_t b_stride, float* c, int64_t c_stride, bool accumulate);

// sum_i a[i] b[i]
float dot(const float* a, const float* b, int64_t n);
float dot(const bf16* a, const float* b, int64_t n);
float dot(const bf16* a, const bf16* b, int64_t n);
// y[i] += scale x[i]
void add_scaled(float* y, const float* x, float scale, int64_t n);
void add_scaled(float* y, const bf16* x, float scale, int64_t n);

}  // namespace ctr
