// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/host_device.h"
#include "kernels/kernel.h"

namespace ctr {

// Columns [source, source + width) of one matrix go to [target, target + width) of another.
struct ColumnBlock {
  int64_t source, target, width;
};

// Copies or adds a block of columns; both tensors are seen as matrices of `rows` rows, however they lie in
// memory. Where both sides are one place there is nothing to do.
extern Kernel<void(const Tensor& source, const Tensor& target, int64_t rows, ColumnBlock block,
                   bool accumulate)>
    copy_columns;

// Where the pieces of a block are that lie side by side in both tensors: piece p of a row is elements
// [first + p width, ...) of it.
struct PiecePlaces {
  int64_t row, first, pieces, width;  // of a row: elements, the block's first, pieces and their width
  int64_t run, stride;
  bool is_plain;  // a piece a row, rows a stride apart

  CTR_HOST_DEVICE int64_t operator()(int64_t piece) const {
    if (is_plain) return piece * stride + first;
    const int64_t element = piece / pieces * row + first + piece % pieces * width;
    return element / run * stride + element % run;
  }
};
struct BlockPieces {
  int64_t count, width;  // of the pieces
  PiecePlaces source, target;
};
BlockPieces cut_block(const Tensor& source, const Tensor& target, int64_t rows, ColumnBlock block);

}  // namespace ctr
