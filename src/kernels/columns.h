// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/kernel.h"

namespace ctr {

// Columns [source, source + width) of one matrix go to [target, target + width) of another.
struct ColumnBlock {
  int64_t source, target, width;
};

// Copies or adds a block of columns; both tensors are seen as matrices of `rows` rows.
extern Kernel<void(const Tensor& source, const Tensor& target, int64_t rows, ColumnBlock block,
                   bool accumulate)>
    copy_columns;

}  // namespace ctr
