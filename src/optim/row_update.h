// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bit>
#include <span>

#include "base/parallel.h"
#include "base/tensor.h"
#include "optim/rules.h"

namespace ctr {

// Storage of one embedding row: its vector, the optimizer's states of the same length one after the other,
// and for LazyGlobal the step of the last hit.
struct RowLayout {
  int64_t dim = 0;
  int states = 0;
  bool has_last_step = false;

  RowLayout(const OptimizerSpec& optimizer, int64_t dim);
  int64_t stride() const { return dim * (1 + states) + has_last_step; }  // floats
  float* state(float* row, int s) const { return row + dim * (1 + s); }
  uint32_t last_step(const float* row) const { return std::bit_cast<uint32_t>(row[stride() - 1]); }
  void set_last_step(float* row, int64_t step) const {
    row[stride() - 1] = std::bit_cast<float>(static_cast<uint32_t>(step));
  }
};

// One key of the batch: its row and the bag it is in.
struct RowHit {
  uint32_t row;
  uint32_t bag;
};

// Everything one optimizer step on one table needs.
struct RowUpdate {
  OptimizerSpec optimizer;
  StepConstants constants;
  RowLayout layout;
  float* rows;
  Tensor d_bags;  // [bags, dim], perhaps in runs, f32 or bf16: gradient of each bag's combined vector
  const float* bag_factors;  // [bags]: every key of the bag gets this times the gradient; null for 1
};

// Global updates that change rows without a hit.
bool updates_every_row(const OptimizerSpec& optimizer);

// Sums the gradient of each row over its hits, in their order, and applies the optimizer once a row. `hits`
// are sorted by row. Where updates_every_row(), the other rows of `all` are updated too, with gradient 0.
// Callers share the work by giving away disjoint sets of rows.
void update_rows(const RowUpdate& update, std::span<const RowHit> hits, Range all);

}  // namespace ctr
