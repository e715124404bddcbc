// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>

#include "base/random.h"
#include "kernels/kernel.h"

namespace ctr {

// Softmax over [no click, click] is a sigmoid of the difference.
struct SoftmaxLossMath {
  CTR_HOST_DEVICE static float click_logit(const float* x) { return x[1] - x[0]; }
  // One column: the probability of a click; two: one-hot.
  CTR_HOST_DEVICE static float clicked(const float* label, int64_t columns) {
    return (columns == 1 ? label[0] >= 0.5f : label[1] > label[0]) ? 1.0f : 0.0f;
  }
};

// x [at least batch, 2], label [batch, 1 or 2], probability [batch, 2]; loss [1] is the mean over the valid
// rows.
extern Kernel<void(const Tensor& x, const Tensor& label, const Tensor& loss, const Tensor& probability,
                   float weight)>
    softmax_loss_forward;
extern Kernel<void(const Tensor& probability, const Tensor& label, const Tensor& d_x, float weight,
                   bool accumulate)>
    softmax_loss_backward;

}  // namespace ctr
