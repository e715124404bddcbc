// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "base/tensor.h"
#include "device/context.h"
#include "optim/row_update.h"

namespace ctr::cuda {

// One table's part of a grouped row update, in device memory. Hits are sorted by row, then by position in the
// batch: the order in which gradients are added.
struct RowUpdateView {
  float* rows;
  int dim, stride, states;
  bool has_last_step, every_row;
  OptimizerSpec optimizer;
  const StepConstants* constants;
  int64_t* steps_done;       // counted up
  const float* bag_factors;  // null: 1
  const uint32_t* hit_rows;  // plus row_base
  const uint32_t* hit_bags;
  const uint32_t* num_hits;
  uint32_t row_base, tile;   // hit_tile()
  const uint32_t* num_rows;  // in use
  const uint32_t* hit_bits;  // every_row: bit r is set where row r has a hit
  float* partial;            // [tiles, 2, dim]
};

// Hits that one group of threads sums: few where there are few, so that many groups share them.
inline uint32_t hit_tile(int64_t max_hits) { return max_hits <= (1 << 17) ? 8 : 32; }

struct RowUpdateLaunch {
  int64_t max_tiles;  // of any table of the group
  int64_t max_hits;   // of any table of the group
  int64_t max_rows;   // of any table with every_row; 0: none
  bool has_lazy;
};

// Sums each row's gradients and applies the optimizer once a row: deterministic, without atomics. d_bags[i]
// is the gradient of the combined vectors of tables[i]'s bags, null where the table is left alone.
void update_rows(const Context& ctx, const RowUpdateView* tables, std::span<const Tensor> d_bags,
                 const RowUpdateLaunch& launch);

}  // namespace ctr::cuda
