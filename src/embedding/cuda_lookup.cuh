// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "embedding/cuda_table.cuh"

namespace ctr::cuda {

// Grouped operations: all tables of a model in one launch each. `tables` is in device memory.
struct TableGroup {
  const TableView* tables = nullptr;
  int count = 0;
  int64_t max_keys = 0, max_bags = 0;  // of any table
};

// found[i] = row of key i, or kNoRow.
void find_rows(const Context& ctx, const TableGroup& group);
// The same, but unseen keys get rows in order of first appearance, and these rows their initial values. Does
// not check that they fit. Afterwards found[i] may name an entry, which combine_rows() turns into its row.
void insert_rows(const Context& ctx, const TableGroup& group);
// How many keys insert_rows() would add to table `e`, at least, and exactly where they fit. Waits for the
// device; changes nothing.
int64_t count_fresh(const Context& ctx, const TableGroup& group, int e, const TableView& view);

// outputs[e]: [bags, dim] = sum of each bag's rows, or their mean.
void combine_rows(const Context& ctx, const TableGroup& group, std::span<const Tensor> outputs);
// Every key's row (plus row_base) and bag; rows beyond the last for the unused rest of a table's room.
void list_hits(const Context& ctx, const TableGroup& group, uint32_t* rows, uint32_t* bags);

}  // namespace ctr::cuda
