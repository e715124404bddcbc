// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "layers/pointwise.h"

namespace ctr {

struct ReluMath {
  static constexpr bool kFromOutput = true;
  CTR_HOST_DEVICE static float forward(float x) { return x < 0 ? 0 : x; }  // keeps NaN visible
  CTR_HOST_DEVICE static float backward(float y, float d_y) { return y > 0 ? d_y : 0; }
};
extern Pointwise<ReluMath> relu_kernels;

}  // namespace ctr
