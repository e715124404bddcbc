// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "embedding/embedding.h"
#include "io/file.h"

namespace ctr {

// One embedding on all ranks, in rank order.
using RankDumps = std::vector<TableDump>;

// A directory of three arrays without headers: key (i64), slot_id (u64, localized types only), emb_vector
// (f32).
void write_sparse_directory(const std::string& directory, const EmbeddingSpec& spec, const RankDumps& ranks);
// The same, or the single file of releases before 3.1. Checks sizes, key range, slots, doubles and that every
// rank can hold its part; names file and row.
TableDump read_sparse(const std::string& path, const EmbeddingSpec& spec, bool i64_keys, int world_size);

// For each state tensor the full-capacity rows of every rank, unused rows at their initial value.
void write_sparse_optimizer(OutputFile& file, const EmbeddingSpec& spec, const RankDumps& ranks);
// States by key, f32 or (older mixed precision) f16. `order` lists keys (and slots) of the sparse model that
// belongs to the file, as saved; the number of ranks at that time follows from the size. `world_size` is
// tried first.
TableDump read_sparse_optimizer(const std::string& path, const EmbeddingSpec& spec, const TableDump& order,
                                int world_size);

}  // namespace ctr
