// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/kernel.h"

namespace ctr {

struct GemmOptions {
  bool transpose_a = false;
  bool transpose_b = false;
  float beta = 0.0f;  // c = a b + beta c
};

// c[m, n] = op(a)[m, k] op(b)[k, n] + beta c. Tensors are seen as matrices over their last dimension.
extern Kernel<void(const Tensor& a, const Tensor& b, const Tensor& c, GemmOptions)> gemm;

}  // namespace ctr
