// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "embedding/embedding.h"

namespace ctr {

// Unsigned remainder: negative keys count as 2^64 - |key|.
CTR_HOST_DEVICE inline int key_owner(int64_t key, int world_size) {
  return static_cast<int>(static_cast<uint64_t>(key) % static_cast<uint64_t>(world_size));
}

// Whole slots live on one rank.
inline bool is_localized(const EmbeddingSpec& spec) { return spec.type != EmbeddingType::distributed_hash; }

// Slots of the input whose rows this rank may hold: all of them, or first, first + step, ...
struct SlotSet {
  int64_t first, step, count;
  int64_t operator[](int64_t i) const { return first + i * step; }
};
SlotSet slots_of(const EmbeddingSpec& spec, int rank, int world_size);

// One-hot: global key of each slot's key 0, and the end: prefix sums of slot_size_array.
std::vector<int64_t> slot_offsets(const EmbeddingSpec& spec);

// workspace_size_per_gpu_in_mb that holds this many rows, as row_limit() counts.
int64_t workspace_mb_for(const EmbeddingSpec& spec, int64_t rows);

// Rows that the hashed rows of a rank can be numbered for, on a CPU and on a GPU.
inline constexpr int64_t kMaxHashedRows = 0xfffffffe, kMaxHashedRowsOnGpu = (int64_t{1} << 30) - 1;

// Rows that the hashed table of a rank may take: row_limit(), but at most `limit`, for as many have numbers.
// Throws invalid_argument where row_capacity() is more.
int64_t hashed_rows(const EmbeddingSpec& spec, int rank, int64_t limit, int world_size);
// `rows` of a rank of `world_size`; throws invalid_argument where they are more than the numbers that rows go
// by.
int64_t require_rows(const EmbeddingSpec& spec, int64_t rows, int64_t limit, int world_size);

// Whether slot_size_array, not the workspace, tells how many rows there can be; and the name of what tells.
bool slots_decide(const EmbeddingSpec& spec);
const char* capacity_argument(const EmbeddingSpec& spec);
// The argument that gives a rank as many rows.
std::string capacity_for(const EmbeddingSpec& spec, int64_t rows);

// The rows of the rank if each embedding had at most this workspace. One-hot embeddings keep all of theirs.
int64_t row_limit_within(const EmbeddingSpec& spec, int64_t workspace_mb, int rank, int world_size);

// Throws out_of_memory and says what would be enough: for now, or for good where no more than `added` keys
// come.
enum class MoreKeys : uint8_t { may_come, never };
[[noreturn]] void fail_overflow(const EmbeddingSpec& spec, int rank, int64_t capacity, int64_t used,
                                int64_t added, MoreKeys more);

// Throws invalid_argument, naming `where`, unless rows can be of that length.
void require_vector_size(std::string_view where, int64_t embedding_vec_size);

// Throws invalid_argument unless the spec can be built.
void validate(const EmbeddingSpec& spec);

}  // namespace ctr
