// SPDX-License-Identifier: Apache-2.0
#include "embedding/dump.h"

#include "embedding/placement.h"
#include "optim/row_update.h"

namespace ctr {

OwnedEntries select_owned(const EmbeddingSpec& spec, const RowBlock& dump, int rank, int world_size) {
  OwnedEntries mine;
  for (int64_t i = 0; i < std::ssize(dump.keys); ++i) {
    int64_t slot = 0;
    if (is_localized(spec)) {
      require(dump.slot_ids[i] < static_cast<uint64_t>(spec.slots),
              "embedding \"{}\": key {} has slot id {}, but there are {} slots", spec.name, dump.keys[i],
              dump.slot_ids[i], spec.slots);
      slot = static_cast<int64_t>(dump.slot_ids[i]);
    }
    if (owner_of(spec, dump.keys[i], slot, world_size) != rank) continue;
    mine.entries.push_back({dump.keys[i], slot});
    mine.positions.push_back(i);
  }
  return mine;
}

void check_sizes(const EmbeddingSpec& spec, const RowBlock& dump, bool vectors) {
  const RowLayout layout(spec.optimizer, spec.dim);
  const size_t n = dump.keys.size(), wide = n * static_cast<size_t>(spec.dim);
  auto check = [&](std::string_view what, size_t size, size_t expected) {
    require(size == expected, "embedding \"{}\": {} keys need {} values of {}, got {}", spec.name, n,
            expected, what, size);
  };
  if (is_localized(spec)) check("slot_id", dump.slot_ids.size(), n);
  if (vectors) return check("emb_vector", dump.vectors.size(), wide);
  check("state tensors", dump.states.size(), static_cast<size_t>(layout.states));
  for (const auto& state : dump.states) check("an optimizer state", state.size(), wide);
  if (!dump.last_steps.empty()) check("last steps", dump.last_steps.size(), layout.has_last_step ? n : 0);
}

}  // namespace ctr
