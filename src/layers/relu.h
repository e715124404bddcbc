// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/random.h"
#include "kernels/kernel.h"

namespace ctr {

struct ReluMath {
  CTR_HOST_DEVICE static float forward(float x) { return x < 0 ? 0 : x; }  // keeps NaN visible
  CTR_HOST_DEVICE static float backward(float y, float d_y) { return y > 0 ? d_y : 0; }
};

extern Kernel<void(const Tensor& x, const Tensor& y)> relu_forward;
extern Kernel<void(const Tensor& y, const Tensor& d_y, const Tensor& d_x, bool accumulate)> relu_backward;

}  // namespace ctr
