// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/random.h"
#include "kernels/kernel.h"

namespace ctr {

// Rows z_0 = m and z_1 .. z_slots = f of one sample. Output: z_0, then <z_i, z_j> for j < i row by row, then
// a zero.
struct InteractionShape {
  int64_t batch, slots, dim;

  CTR_HOST_DEVICE int64_t rows() const { return slots + 1; }
  CTR_HOST_DEVICE int64_t pair(int64_t i, int64_t j) const {
    return dim + i * (i - 1) / 2 + j;
  }  // column, j < i
  CTR_HOST_DEVICE int64_t width() const { return pair(rows(), 0) + 1; }
};

// m [batch, dim], f [batch, slots, dim], y [batch, width]. Either gradient may be null.
extern Kernel<void(const Tensor& m, const Tensor& f, const Tensor& y)> interaction_forward;
struct InteractionGradient {
  Tensor d_m, d_f;
  bool accumulate_m, accumulate_f;
};
extern Kernel<void(const Tensor& m, const Tensor& f, const Tensor& d_y, const InteractionGradient& out)>
    interaction_backward;

}  // namespace ctr
