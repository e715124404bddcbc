// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/kernel.h"

namespace ctr {

struct GemmOptions {
  bool transpose_a = false;
  bool transpose_b = false;
  bool accumulate = false;  // add to c
  Tensor bias = {};         // [n] in f32, added to every row of c
  bool relu = false;        // of the result
};

// c[m, n] = relu(op(a)[m, k] op(b)[k, n] + c + bias), summed in f32 and rounded once. Tensors are seen as
// matrices over their last dimension; a and b have one type, c has the same or is f32.
extern Kernel<void(const Tensor& a, const Tensor& b, const Tensor& c, GemmOptions)> gemm;

// Name of this CPU's instructions for bf16 products, null without. Whether they are faster than those for f32
// differs between CPUs: see measure_gemm().
const char* bf16_instructions();

}  // namespace ctr
