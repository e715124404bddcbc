// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "device/cuda.cuh"

namespace ctr::cuda {

// Bytes that inclusive_sum() of n numbers needs.
size_t inclusive_sum_bytes(int64_t n);

// sums[i] = x[0] + ... + x[i]
void inclusive_sum(const Context& ctx, const uint32_t* x, uint32_t* sums, int64_t n, void* scratch,
                   size_t scratch_bytes);

}  // namespace ctr::cuda
