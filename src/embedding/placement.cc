// SPDX-License-Identifier: Apache-2.0
#include "embedding/placement.h"

#include <algorithm>
#include <cmath>

#include "base/checked.h"
#include "embedding/fresh_rows.h"
#include "optim/row_update.h"
#include "optim/row_width.h"

namespace ctr {
namespace {

constexpr int64_t kMiB = 1 << 20;

// Bytes a row is charged with: its vector and states; LazyGlobal's last step counts as one more state.
int64_t row_bytes(const EmbeddingSpec& spec) {
  const RowLayout layout(spec.optimizer, spec.dim);
  return (1 + layout.states + layout.has_last_step) * spec.dim * static_cast<int64_t>(sizeof(float));
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

void validate_one_key(const EmbeddingSpec& spec) {
  for (size_t s = 0; s < spec.nnz_per_slot.size(); ++s)
    require(spec.nnz_per_slot[s] == 1,
            "embedding \"{}\": a one-hot embedding takes one key per slot, but nnz_per_slot of slot {} of "
            "\"{}\" is {}",
            spec.name, s, spec.bottom, spec.nnz_per_slot[s]);
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
  return checked_sum(checked_product(rows, row_bytes(spec)), kMiB - 1) / kMiB;
}

bool slots_decide(const EmbeddingSpec& spec) {
  return spec.type == EmbeddingType::localized_one_hot ||
         (spec.type == EmbeddingType::localized_hash && !spec.slot_size_array.empty());
}

const char* capacity_argument(const EmbeddingSpec& spec) {
  return slots_decide(spec) ? "slot_size_array" : "workspace_size_per_gpu_in_mb";
}

int64_t row_capacity_within(const EmbeddingSpec& spec, int64_t workspace_mb, int rank, int world_size) {
  const int64_t all = row_capacity(spec, rank, world_size);
  if (spec.type == EmbeddingType::localized_one_hot || workspace_mb >= workspace_mb_for(spec, all))
    return all;
  return workspace_mb * kMiB / row_bytes(spec);
}

int64_t require_rows(const EmbeddingSpec& spec, int64_t rows, int64_t limit, int world_size) {
  if (rows <= limit) return rows;
  if (slots_decide(spec)) fail_slot_sizes(spec, rows, limit, world_size);
  fail(ErrorKind::invalid_argument,
       "embedding \"{}\": workspace_size_per_gpu_in_mb={} makes {} rows on a rank, which can hold {}; {} or "
       "less "
       "would do",
       spec.name, spec.workspace_mb, rows, limit, limit * row_bytes(spec) / kMiB);
}

void fail_overflow(const EmbeddingSpec& spec, int rank, int64_t capacity, int64_t used, int64_t added,
                   MoreKeys more) {
  const std::string remedy =
      slots_decide(spec)
          ? fmt::format("a slot_size_array that adds up to {} on this rank", used + added)
          : fmt::format("workspace_size_per_gpu_in_mb={}", workspace_mb_for(spec, used + added));
  fail(ErrorKind::out_of_memory,
       "embedding \"{}\": rank {} uses {} rows and gets {} new keys, but can hold {} rows; {} would be "
       "enough{}",
       spec.name, rank, used, added, capacity, remedy,
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

void validate(const EmbeddingSpec& spec) {
  require(spec.dim >= 1 && spec.dim <= kMaxRowWidth,
          "embedding \"{}\": embedding_vec_size must be between 1 and {}, got {}", spec.name, kMaxRowWidth,
          spec.dim);
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
  if (spec.type == EmbeddingType::localized_one_hot) validate_one_key(spec);
}

int64_t row_capacity(const EmbeddingSpec& spec, int rank, int world_size) {
  const bool by_slots = slots_decide(spec);
  if (by_slots) validate_slot_sizes(spec);
  try {
    if (!by_slots) return checked_product(spec.workspace_mb, kMiB) / row_bytes(spec);
    if (spec.type == EmbeddingType::localized_one_hot) return slot_rows(spec, rank, world_size);
    int64_t most = 0;  // the same limit everywhere: that of the fullest rank
    for (int r = 0; r < world_size; ++r) most = std::max(most, slot_rows(spec, r, world_size));
    return most;
  } catch (const Error& e) {
    throw Error(e.kind(),
                fmt::format("embedding \"{}\": {}: {}", spec.name, capacity_argument(spec), e.what()));
  }
}

int owner_of(const EmbeddingSpec& spec, int64_t key, int64_t slot, int world_size) {
  return is_localized(spec) ? static_cast<int>(slot % world_size) : key_owner(key, world_size);
}

}  // namespace ctr
