// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/kernel.h"

namespace ctr {

// Rows are those of the first dimension. y[k] = x[rows[k]]; rows (i32) [rows of y].
extern Kernel<void(const Tensor& x, const Tensor& rows, const Tensor& y)> gather_rows;

// What gather_rows() left where it came from: d_x[r] is the sum of the rows of d_y that were taken from row
// r, in order, written or added. Row r gave rows takers[begins[r]], ..., takers[begins[r + 1] - 1] (i32
// both).
struct RowTakers {
  Tensor takers, begins;
};
extern Kernel<void(const Tensor& d_y, const RowTakers& takers, const Tensor& d_x, bool accumulate)>
    scatter_rows;

}  // namespace ctr
