// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>

#include "base/random.h"
#include "kernels/exponential.h"
#include "kernels/kernel.h"

namespace ctr {

// Binary cross entropy of a logit, fused with the sigmoid.
struct SigmoidLossMath {
  CTR_HOST_DEVICE static float value(float x, float label) {
    return (x > 0 ? x : 0) - x * label + log1pf(exponential(-fabsf(x)));
  }
  CTR_HOST_DEVICE static float gradient(float probability, float label) { return probability - label; }
};

struct SigmoidLossOptions {
  float weight = 1;            // of the whole loss
  bool allow_missing = false;  // a label below -0.5 has neither value nor gradient
  Tensor column_weights = {};  // null: ones
};

// x [at least batch, columns], label [batch, columns]; loss [1] is the mean over the valid rows' elements.
extern Kernel<void(const Tensor& x, const Tensor& label, const Tensor& loss, const Tensor& probability,
                   const SigmoidLossOptions& options)>
    sigmoid_loss_forward;
extern Kernel<void(const Tensor& probability, const Tensor& label, const Tensor& d_x,
                   const SigmoidLossOptions& options, bool accumulate)>
    sigmoid_loss_backward;

}  // namespace ctr
