// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/exponential.h"
#include "layers/pointwise.h"

namespace ctr {

struct EluMath {
  static constexpr bool kFromOutput = false;
  float alpha;
  CTR_HOST_DEVICE float forward(float x) const { return x >= 0 ? x : alpha * (exponential(x) - 1.0f); }
  CTR_HOST_DEVICE float backward(float x, float d_y) const {
    return x >= 0 ? d_y : d_y * alpha * exponential(x);
  }
};
extern Pointwise<EluMath> elu_kernels;

}  // namespace ctr
