// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/kernel.h"

namespace ctr {

struct GemmOptions {
  bool transpose_a = false;
  bool transpose_b = false;
  bool accumulate = false;  // add to c
  Tensor bias = {};         // [n], added to every row of c
  bool relu = false;        // of the result
};

// c[m, n] = relu(op(a)[m, k] op(b)[k, n] + c + bias). Tensors are seen as matrices over their last dimension.
extern Kernel<void(const Tensor& a, const Tensor& b, const Tensor& c, GemmOptions)> gemm;

}  // namespace ctr
