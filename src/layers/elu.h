// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/random.h"
#include "kernels/exponential.h"
#include "kernels/kernel.h"

namespace ctr {

struct EluMath {
  float alpha;
  CTR_HOST_DEVICE float forward(float x) const { return x >= 0 ? x : alpha * (exponential(x) - 1.0f); }
  CTR_HOST_DEVICE float backward(float x, float d_y) const {
    return x >= 0 ? d_y : d_y * alpha * exponential(x);
  }
};

extern Kernel<void(const Tensor& x, const Tensor& y, float alpha)> elu_forward;
extern Kernel<void(const Tensor& x, const Tensor& d_y, const Tensor& d_x, float alpha, bool accumulate)>
    elu_backward;

}  // namespace ctr
