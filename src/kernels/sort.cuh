// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "device/cuda.cuh"

namespace ctr::cuda {

// Bytes that sort_pairs() of up to n pairs needs.
size_t sort_pairs_bytes(int64_t n);

// Stable sort of n pairs by the lowest `bits` of their keys.
void sort_pairs(const Context& ctx, uint32_t* keys, uint32_t* values, uint32_t* sorted_keys,
                uint32_t* sorted_values, int64_t n, int bits, void* scratch, size_t scratch_bytes);

}  // namespace ctr::cuda
