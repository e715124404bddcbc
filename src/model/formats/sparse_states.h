// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>

#include "base/json.h"
#include "model/formats/sparse_files.h"

namespace ctr {

// For each state tensor the full-capacity rows of every rank, unused rows at their initial value.
void write_sparse_optimizer(OutputFile& file, const EmbeddingSpec& spec, const RankDumps& ranks);
// What an embedding's states belong to: the optimizer, the embedding with its name, the ranks, and the keys
// (and slots) of the sparse model, in the order of its file.
Json describe_sparse_states(const EmbeddingSpec& spec, const TableDump& order, int world_size);

struct SparseStates {
  TableDump dump;  // by key
  int64_t optimizer_step = 0;
};
// States, f32 or (older mixed precision) f16, and the step counters beside them. `order` lists keys (and
// slots) of the sparse model that belongs to the file, as saved. Where no description says the number of
// ranks at that time, it follows from the size; `world_size` is tried first.
// `model` are all embeddings of the model, `spec` among them: a file of another one is refused.
SparseStates read_sparse_optimizer(const FileSystem& files, const std::string& path,
                                   const EmbeddingSpec& spec, std::span<const EmbeddingSpec> model,
                                   const TableDump& order, int world_size);

}  // namespace ctr
