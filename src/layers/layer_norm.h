// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/kernel.h"

namespace ctr {

// Rows of x, seen as a matrix over its last dimension: y = gamma (x - mean) / sqrt(var + eps) + beta, with
// the biased variance. Keeps each row's `mean` and `inv_std` [rows] for backward.
struct LayerNormBuffers {
  Tensor gamma, beta, mean, inv_std;
};
extern Kernel<void(const Tensor& x, const Tensor& y, const LayerNormBuffers& b, float eps)>
    layer_norm_forward;
// d_x may be null.
extern Kernel<void(const Tensor& x, const Tensor& d_y, const LayerNormBuffers& b, const Tensor& d_x,
                   bool accumulate, const Tensor& d_gamma, const Tensor& d_beta)>
    layer_norm_backward;

}  // namespace ctr
