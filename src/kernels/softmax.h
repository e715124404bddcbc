// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/kernel.h"

namespace ctr {

// Rows over the last dimension: y = exp(scale x) / sum exp(scale x), with the largest element at exp(0). Rows
// may be apart.
extern Kernel<void(const Tensor& x, const Tensor& y, float scale)> softmax;
// d_x = scale y (d_y - <d_y, y>), written or added; y is computed anew, so that it is as exact as in f32.
extern Kernel<void(const Tensor& x, const Tensor& d_y, const Tensor& d_x, float scale, bool accumulate)>
    softmax_backward;

}  // namespace ctr
