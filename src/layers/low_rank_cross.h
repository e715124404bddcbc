// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "kernels/kernel.h"
#include "layers/params.h"

namespace ctr {

class Layer;

// MultiCross whose layers have a projection: x_{l+1} = x_0 * ((x_l U_l) V_l + b_l) + x_l, element by element.
std::unique_ptr<Layer> make_low_rank_cross(const Params& params);

// next = x_0 h + x
extern Kernel<void(const Tensor& x0, const Tensor& h, const Tensor& x, const Tensor& next)>
    low_rank_cross_forward;
// With g the gradient of a layer's output: s = g x_0, and, unless d_x is null, d_x = g h, plus g where the
// layer is the first: its x is x_0.
extern Kernel<void(const Tensor& g, const Tensor& x0, const Tensor& h, const Tensor& s, const Tensor& d_x,
                   bool accumulate, bool is_first)>
    low_rank_cross_backward;

}  // namespace ctr
