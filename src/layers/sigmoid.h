// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/exponential.h"
#include "layers/pointwise.h"

namespace ctr {

struct SigmoidMath {
  static constexpr bool kFromOutput = false;  // 1 - y would have lost its digits where y is stored in 16 bits
  CTR_HOST_DEVICE static float forward(float x) { return 1.0f / (1.0f + exponential(-x)); }
  CTR_HOST_DEVICE static float backward(float x, float d_y) {
    const float e = exponential(x < 0 ? x : -x), both = 1.0f + e;
    return d_y * (e / (both * both));
  }
};
extern Pointwise<SigmoidMath> sigmoid_kernels;

}  // namespace ctr
