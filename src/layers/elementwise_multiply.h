// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "kernels/kernel.h"

namespace ctr {

// y = x_0 x_1 ...
extern Kernel<void(const Tensor& y, std::span<const Tensor> x)> multiply_forward;
// d_x_i = d_y times all factors but x_i: exact where a factor is zero.
extern Kernel<void(const Tensor& d_y, std::span<const Tensor> x, int64_t i, const Tensor& d_x,
                   bool accumulate)>
    multiply_backward;

}  // namespace ctr
