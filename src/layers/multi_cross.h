// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "kernels/kernel.h"

namespace ctr {

// The cross network x_{l+1} = x_0 h_l + x_l + b_l with h_l = <x_l, w_l> never leaves the span of x_0 and the
// biases:
//   x_l = a_l x_0 + beta_l,   a_l = 1 + sum_{j<l} h_j,   beta_l = sum_{j<l} b_j,
//   h_l = a_l p_l + c_l,      p_l = <x_0, w_l>,          c_l = <beta_l, w_l>.
// So one pass over x_0 computes all layers, and backward, with t_l = <G_{l+1}, x_0> and q_l = t_l a_l:
//   t_l = <g, x_0> + sum_{j>l} t_j p_j,   d_x = a_L g + sum_l q_l w_l,
//   d_w_l = sum_b q_l x_0 + beta_l sum_b t_l,   d_b_l = sum_b g + sum_{j>l} w_j sum_b t_j.
inline constexpr int64_t kFewCrosses = 32;
struct CrossBuffers {  // of the whole batch
  Tensor p;            // [batch, layers]
  Tensor beta;         // [layers + 1, width]
  Tensor c;            // [layers]
  Tensor partial;      // backward: [parts, width of a part]
  // On a GPU, where there are more than kFewCrosses layers: [2 layers, width] for the weights and for their
  // gradients.
  Tensor weights, gradients;

  // On a CPU a part sums all weights' gradients, on a GPU a number a layer.
  static constexpr int64_t kDeviceParts = 1024;
  static int64_t partial_width(int64_t layers, int64_t width) { return (layers + 1) * width + 3 * layers; }
};

// w holds w_0, b_0, w_1, b_1, ...; d_w likewise. d_x may be null.
extern Kernel<void(const Tensor& x, std::span<const Tensor> w, const Tensor& y, const CrossBuffers& buffers)>
    multi_cross_forward;
extern Kernel<void(const Tensor& x, std::span<const Tensor> w, const Tensor& d_y, const CrossBuffers& buffers,
                   const Tensor& d_x, bool accumulate, std::span<const Tensor> d_w)>
    multi_cross_backward;

}  // namespace ctr
