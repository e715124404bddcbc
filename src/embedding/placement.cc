// SPDX-License-Identifier: Apache-2.0
#include "embedding/placement.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/checked.h"
#include "embedding/fresh_rows.h"
#include "optim/row_update.h"
#include "optim/row_width.h"

namespace ctr {
namespace {

constexpr int64_t kMiB = 1 << 20;

int64_t vector_bytes(const EmbeddingSpec& spec) { return spec.dim * static_cast<int64_t>(sizeof(float)); }

// Bytes a row is charged with: its vector and states; LazyGlobal's last step counts as one more state.
int64_t row_bytes(const EmbeddingSpec& spec) {
  const RowLayout layout(spec.optimizer, spec.dim);
  return (1 + layout.states + layout.has_last_step) * vector_bytes(spec);
}

// Of the workspace, for a row.
int64_t charged_bytes(const EmbeddingSpec& spec) {
  return spec.counts_states ? row_bytes(spec) : vector_bytes(spec);
}

int64_t slot_rows(const EmbeddingSpec& spec, int rank, int world_size) {
  const SlotSet slots = slots_of(spec, rank, world_size);
  int64_t rows = 0;
  for (int64_t i = 0; i < slots.count; ++i)
    rows = checked_sum(rows, spec.slot_size_array[static_cast<size_t>(slots[i])]);
  return rows;
}

// A slot lives on one rank: more ranks help only where no slot alone is too large.
[[noreturn]] void fail_slot_sizes(const EmbeddingSpec& spec, int64_t rows, int64_t limit, int world_size) {
  const auto& sizes = spec.slot_size_array;
  const auto largest = std::max_element(sizes.begin(), sizes.end());
  if (*largest > limit)
    fail(ErrorKind::invalid_argument,
         "embedding \"{}\": slot_size_array[{}] is {}, but a slot lives on one rank, which can hold {} rows; "
         "DistributedSlotSparseEmbeddingHash shares the keys of a slot out to all ranks",
         spec.name, largest - sizes.begin(), *largest, limit);
  int ranks = 2 * world_size;  // as many as slots do at the latest
  const auto fits = [&](int n) {
    for (int r = 0; r < n; ++r)
      if (slot_rows(spec, r, n) > limit) return false;
    return true;
  };
  while (!fits(ranks)) ranks *= 2;
  fail(
      ErrorKind::invalid_argument,
      "embedding \"{}\": slot_size_array makes {} rows on a rank of {}, which can hold {}; {} ranks would do",
      spec.name, rows, world_size, limit, ranks);
}

void validate_slot_sizes(const EmbeddingSpec& spec) {
  const auto& sizes = spec.slot_size_array;
  require(std::ssize(sizes) == spec.slots,
          "embedding \"{}\": slot_size_array has {} entries for the {} slots of \"{}\"", spec.name,
          sizes.size(), spec.slots, spec.bottom);
  for (size_t s = 0; s < sizes.size(); ++s)
    require(sizes[s] > 0, "embedding \"{}\": slot_size_array[{}] must be positive, got {}", spec.name, s,
            sizes[s]);
}

void validate_optimizer(const EmbeddingSpec& spec) {
  const OptimizerSpec& o = spec.optimizer;
  if (spec.type == EmbeddingType::localized_one_hot)
    require(o.type == OptimizerType::sgd && o.atomic_update,
            "embedding \"{}\": a one-hot embedding needs SGD with atomic_update=True, got {}", spec.name,
            name_of(o.type));
}

}  // namespace

SlotSet slots_of(const EmbeddingSpec& spec, int rank, int world_size) {
  if (!is_localized(spec)) return {0, 1, spec.slots};
  return {rank, world_size, (spec.slots - rank + world_size - 1) / world_size};
}

std::vector<int64_t> slot_offsets(const EmbeddingSpec& spec) {
  std::vector<int64_t> offsets{0};
  for (int64_t size : spec.slot_size_array) offsets.push_back(checked_sum(offsets.back(), size));
  return offsets;
}

int64_t workspace_mb_for(const EmbeddingSpec& spec, int64_t rows) {
  return checked_sum(checked_product(rows, charged_bytes(spec)), kMiB - 1) / kMiB;
}

bool slots_decide(const EmbeddingSpec& spec) {
  return spec.type == EmbeddingType::localized_one_hot ||
         (spec.type == EmbeddingType::localized_hash && !spec.slot_size_array.empty());
}

const char* capacity_argument(const EmbeddingSpec& spec) {
  if (slots_decide(spec)) return "slot_size_array";
  return spec.rows > 0 ? "max_vocabulary_size_per_gpu" : "workspace_size_per_gpu_in_mb";
}

std::string capacity_for(const EmbeddingSpec& spec, int64_t rows) {
  if (slots_decide(spec)) return fmt::format("a slot_size_array that adds up to {} on this rank", rows);
  return fmt::format("{}={}", capacity_argument(spec), spec.rows > 0 ? rows : workspace_mb_for(spec, rows));
}

int64_t row_limit_within(const EmbeddingSpec& spec, int64_t workspace_mb, int rank, int world_size) {
  const int64_t all = row_limit(spec, rank, world_size);
  if (spec.type == EmbeddingType::localized_one_hot ||
      workspace_mb > std::numeric_limits<int64_t>::max() / kMiB)
    return all;
  return std::min(all, workspace_mb * kMiB / charged_bytes(spec));
}

int64_t hashed_rows(const EmbeddingSpec& spec, int rank, int64_t limit, int world_size) {
  require_rows(spec, row_capacity(spec, rank, world_size), limit, world_size);
  return std::min(limit, row_limit(spec, rank, world_size));
}

int64_t require_rows(const EmbeddingSpec& spec, int64_t rows, int64_t limit, int world_size) {
  if (rows <= limit) return rows;
  if (slots_decide(spec)) fail_slot_sizes(spec, rows, limit, world_size);
  const bool by_rows = spec.rows > 0;
  fail(ErrorKind::invalid_argument,
       "embedding \"{}\": {}={} makes {} rows on a rank, which can hold {}; {} or less would do", spec.name,
       capacity_argument(spec), by_rows ? rows : spec.workspace_mb, rows, limit,
       by_rows ? limit : limit * row_bytes(spec) / kMiB);
}

void fail_overflow(const EmbeddingSpec& spec, int rank, int64_t capacity, int64_t used, int64_t added,
                   MoreKeys more) {
  fail(ErrorKind::out_of_memory,
       "embedding \"{}\": rank {} uses {} rows and gets {} new keys, but can hold {} rows; {} would be "
       "enough{}",
       spec.name, rank, used, added, capacity, capacity_for(spec, used + added),
       more == MoreKeys::may_come ? " for these; later batches may need more" : "");
}

namespace {

void validate_initializer(const EmbeddingSpec& spec) {
  try {
    fresh_rows(spec, 0);
  } catch (const Error& e) {
    throw Error(e.kind(), fmt::format("embedding \"{}\": {}", spec.name, e.what()));
  }
}

}  // namespace

void require_vector_size(std::string_view where, int64_t embedding_vec_size) {
  require(embedding_vec_size >= 1 && embedding_vec_size <= kMaxRowWidth,
          "{}: embedding_vec_size must be 1 to {}, got {}", where, kMaxRowWidth, embedding_vec_size);
}

void validate(const EmbeddingSpec& spec) {
  require_vector_size(fmt::format("embedding \"{}\"", spec.name), spec.dim);
  require(spec.slots >= 1, "embedding \"{}\": the input \"{}\" has no slots", spec.name, spec.bottom);
  if (slots_decide(spec))
    validate_slot_sizes(spec);
  else
    require(
        row_capacity(spec, 0, 1) >= 1,
        "embedding \"{}\": workspace_size_per_gpu_in_mb must be positive and hold at least one row, got {}",
        spec.name, spec.workspace_mb);
  validate_optimizer(spec);
  validate_initializer(spec);
}

int64_t row_capacity(const EmbeddingSpec& spec, int rank, int world_size) {
  const bool by_slots = slots_decide(spec);
  if (by_slots) validate_slot_sizes(spec);
  try {
    if (!by_slots)
      return spec.rows > 0 ? spec.rows : checked_product(spec.workspace_mb, kMiB) / row_bytes(spec);
    if (spec.type == EmbeddingType::localized_one_hot) return slot_rows(spec, rank, world_size);
    int64_t most = 0;  // the same limit everywhere: that of the fullest rank
    for (int r = 0; r < world_size; ++r) most = std::max(most, slot_rows(spec, r, world_size));
    return most;
  } catch (const Error& e) {
    throw Error(e.kind(),
                fmt::format("embedding \"{}\": {}: {}", spec.name, capacity_argument(spec), e.what()));
  }
}

int64_t row_limit(const EmbeddingSpec& spec, int rank, int world_size) {
  const int64_t rows = row_capacity(spec, rank, world_size);
  if (slots_decide(spec) || spec.rows > 0) return rows;
  return checked_product(spec.workspace_mb, kMiB) / charged_bytes(spec);
}

int owner_of(const EmbeddingSpec& spec, int64_t key, int64_t slot, int world_size) {
  return is_localized(spec) ? static_cast<int>(slot % world_size) : key_owner(key, world_size);
}

}  // namespace ctr
