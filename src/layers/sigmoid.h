// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/random.h"
#include "kernels/exponential.h"
#include "kernels/kernel.h"

namespace ctr {

struct SigmoidMath {
  CTR_HOST_DEVICE static float forward(float x) { return 1.0f / (1.0f + exponential(-x)); }
  CTR_HOST_DEVICE static float backward(float y, float d_y) { return d_y * y * (1.0f - y); }
};

extern Kernel<void(const Tensor& x, const Tensor& y)> sigmoid_forward;
extern Kernel<void(const Tensor& y, const Tensor& d_y, const Tensor& d_x, bool accumulate)> sigmoid_backward;

}  // namespace ctr
