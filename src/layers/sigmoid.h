// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/exponential.h"
#include "layers/pointwise.h"

namespace ctr {

struct SigmoidMath {
  static constexpr bool kFromOutput = true;
  CTR_HOST_DEVICE static float forward(float x) { return 1.0f / (1.0f + exponential(-x)); }
  CTR_HOST_DEVICE static float backward(float y, float d_y) { return d_y * y * (1.0f - y); }
};
extern Pointwise<SigmoidMath> sigmoid_kernels;

}  // namespace ctr
