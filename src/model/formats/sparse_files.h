// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "embedding/embedding.h"
#include "io/file_system.h"

namespace ctr {

// One embedding on all ranks, in rank order.
using RankDumps = std::vector<TableDump>;

// A directory of three arrays without headers: key (i64), slot_id (u64, localized types only), emb_vector
// (f32).
void write_sparse_directory(const Transaction::CreateFile& create, const EmbeddingSpec& spec,
                            const RankDumps& ranks);
// The same, or the single file of releases before 3.1. Checks sizes before anything is read, key range,
// slots, doubles and that every rank can hold its part; names file and row.
TableDump read_sparse(const FileSystem& files, const std::string& path, const EmbeddingSpec& spec,
                      bool i64_keys, int world_size);

// 0 where the embedding keeps no slots.
int64_t slot_of(const TableDump& dump, size_t row);
// Rows of all ranks: those of a hash embedding have the same capacity, those of a one-hot one share its rows.
int64_t total_capacity(const EmbeddingSpec& spec, int world_size);

}  // namespace ctr
