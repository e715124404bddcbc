// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "base/dtype.h"

namespace ctr {

// c[m, n] = a[m, k] b[k, n] (+ c) on one CPU thread, summed in f32 and rounded once, for operands that fit
// the cache. The bf16 instructions of CPUs take the terms of a sum in pairs (and subnormal numbers for zero):
// k is even and b is stored as [k / 2, n, 2], with rows 2p and 2p + 1 interleaved; b_stride counts pairs. n
// is a multiple of 16.
void small_gemm(int64_t m, int64_t n, int64_t k, const bf16* a, int64_t a_stride, const bf16* b,
                int64_t b_stride, float* c, int64_t c_stride, bool accumulate);
void small_gemm(int64_t m, int64_t n, int64_t k, const bf16* a, int64_t a_stride, const bf16* b,
                int64_t b_stride, bf16* c, int64_t c_stride, bool accumulate);

}  // namespace ctr
