// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/host_device.h"
#include "kernels/kernel.h"

namespace ctr {

// Rows of logits are [outer, times, inner, n]; those of the mask, [outer, inner, n], serve `times` of them.
struct SoftmaxOptions {
  float scale = 1;
  Tensor mask = {};  // of probabilities' type; none: all elements count
  int64_t inner = 1;
};

// What is taken off a logit whose mask is 0 instead of 1, and what the sum of a masked row has on top.
inline constexpr float kMaskedLogit = 10000, kMaskedSum = 1e-6f;

CTR_HOST_DEVICE inline int64_t mask_row(int64_t row, int64_t times, int64_t inner) {
  return row / (times * inner) * inner + row % inner;
}

// Rows over the last dimension: y = exp(l) / sum exp(l), l = scale x, with the largest element at exp(0).
// Where there is a mask, l = scale x - 10000 (1 - mask) and the sum is 1e-6 larger. y has the type of x, or
// that of activations where x is f32. Rows may be apart.
extern Kernel<void(const Tensor& x, const Tensor& y, const SoftmaxOptions&)> softmax;
// d_x = scale y (d_y - <d_y, y>), written or added; y is computed anew, so that it is as exact as in f32. d_y
// has the type of x, d_x that of y.
extern Kernel<void(const Tensor& x, const Tensor& d_y, const Tensor& d_x, const SoftmaxOptions&,
                   bool accumulate)>
    softmax_backward;

}  // namespace ctr
