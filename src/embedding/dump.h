// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "embedding/row_index.h"

namespace ctr {

// Entries of a dump that belong to one rank, and where they are in the dump.
struct OwnedEntries {
  std::vector<RowIndex::Entry> entries;
  std::vector<int64_t> positions;
};
OwnedEntries select_owned(const EmbeddingSpec& spec, const RowBlock& dump, int rank, int world_size);

// Throws invalid_argument unless the arrays of a dump fit each other and the embedding: its vectors, or its
// states.
void check_sizes(const EmbeddingSpec& spec, const RowBlock& dump, bool vectors);

}  // namespace ctr
