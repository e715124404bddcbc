// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/kernel.h"

namespace ctr {

// y[b, s, v] = x[b, s] w[s, v]
extern Kernel<void(const Tensor& x, const Tensor& w, const Tensor& y)> weight_multiply_forward;
// d_x[b, s] = sum_v d_y[b, s, v] w[s, v], unless d_x is null; d_w[s, v] = sum_b d_y[b, s, v] x[b, s]
extern Kernel<void(const Tensor& x, const Tensor& w, const Tensor& d_y, const Tensor& d_x, const Tensor& d_w,
                   bool accumulate)>
    weight_multiply_backward;

}  // namespace ctr
