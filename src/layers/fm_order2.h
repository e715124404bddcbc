// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/kernel.h"

namespace ctr {

// With x as [batch, slot, dim] and y as [batch, dim]: y = ((sum_s x)^2 - sum_s x^2) / 2.
extern Kernel<void(const Tensor& x, const Tensor& y)> fm_order2_forward;
// d_x[s] = d_y (sum_t x[t] - x[s])
extern Kernel<void(const Tensor& x, const Tensor& d_y, const Tensor& d_x, bool accumulate)>
    fm_order2_backward;

}  // namespace ctr
