// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace ctr {

struct GemmSeconds {
  double f32, bf16;
};

// How long the three products of a fully connected layer's step, [m, k] [k, n] forward and backward, take on
// one CPU thread in either type. Takes ten times as long; only where there are
// bf16_instructions().
GemmSeconds measure_gemm(int64_t m, int64_t n, int64_t k);

}  // namespace ctr
