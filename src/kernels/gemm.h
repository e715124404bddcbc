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

struct BatchedGemmOptions {
  bool transpose_a = false;  // of every matrix
  bool transpose_b = false;
  bool accumulate = false;
};

// c[i, m, n] = op(a[i])[m, k] op(b[i])[k, n] (+ c[i]) for every i: the last two dimensions are matrices,
// those before are the same in all three. Else as gemm(), which large single products are better made with.
extern Kernel<void(const Tensor& a, const Tensor& b, const Tensor& c, BatchedGemmOptions)> batched_gemm;

struct BatchedShape {
  int64_t batches, m, n, k;
};
// Throws `internal` where the three do not fit.
BatchedShape batched_shape(const Shape& a, const Shape& b, const Shape& c, const BatchedGemmOptions& options);

// Name of this CPU's instructions for bf16 products, null without. Whether they are faster than those for f32
// differs between CPUs: see measure_gemm().
const char* bf16_instructions();

}  // namespace ctr
