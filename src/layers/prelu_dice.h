// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "layers/batch_norm.h"
#include "layers/sigmoid.h"

namespace ctr {

// y = p x + (1 - p) alpha x, where p is the sigmoid of x normalised by its column's mean and variance.
struct DiceMath {
  float alpha;

  CTR_HOST_DEVICE float forward(float x, float mean, float inv_std) const {
    return x * (alpha + (1.0f - alpha) * SigmoidMath::forward((x - mean) * inv_std));
  }
  // dy / dx of one element, also by what it moves its column's mean and variance of `rows` elements, but not
  // by what other elements' outputs change with them. Columns without variance do not move p.
  CTR_HOST_DEVICE float slope(float x, float mean, float inv_std, float rows) const {
    constexpr float no_variance = 1e4f;  // its inverse root, from there on
    const float s = inv_std < no_variance ? inv_std : 0.0f, z = (x - mean) * s;
    const float p = SigmoidMath::forward(z), d_z = s * (1.0f - (1.0f + z * z) / rows);
    return alpha + (1.0f - alpha) * (p + p * (1.0f - p) * d_z * x);
  }
};

// Columns of [batch, n], normalised by the valid rows' mean and biased variance, which are kept as `mean` and
// `inv_std` [n]. Other rows are zeros.
struct DiceBuffers {
  Tensor mean, inv_std;
};
extern Kernel<void(const Tensor& x, const Tensor& y, const DiceBuffers& b, DiceMath math, float eps)>
    prelu_dice_forward;
extern Kernel<void(const Tensor& x, const Tensor& d_y, const DiceBuffers& b, const Tensor& d_x, DiceMath math,
                   bool accumulate)>
    prelu_dice_backward;

}  // namespace ctr
