// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/kernel.h"

namespace ctr {

// Through y = max(z, 0) and the bias in z: d_y becomes d_z, which is d_y where y > 0 and else 0; d_bias [n] =
// the sum of d_z's rows.
extern Kernel<void(const Tensor& y, const Tensor& d_z, const Tensor& d_bias)> relu_bias_backward;

}  // namespace ctr
