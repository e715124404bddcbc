// SPDX-License-Identifier: Apache-2.0
#include "model/slot_keys.h"

#include <algorithm>

#include "base/log.h"

namespace ctr {
namespace {

constexpr int64_t kBatches = 4;            // that are looked at
constexpr size_t kKeys = size_t{1} << 20;  // remembered at most

}  // namespace

SlotKeys::SlotKeys(const ModelSpec& spec) {
  for (const EmbeddingSpec& e : spec.embeddings)
    for (size_t i = 0; i < spec.input.sparse.size(); ++i)
      if (e.type == EmbeddingType::localized_hash && e.bottom == spec.input.sparse[i].name && e.slots > 1)
        watched_.push_back({e.name, i, {}});
}

void SlotKeys::look(const Batch& batch) {
  if (watched_.empty()) return;
  const bool enough = ++batches_ >= kBatches;
  std::erase_if(watched_, [&](Watched& w) { return find_shared(w, batch.sparse[w.input]) || enough; });
}

bool SlotKeys::find_shared(Watched& w, const CsrKeys& keys) {
  for (int64_t bag = 0; bag + 1 < std::ssize(keys.offsets); ++bag)
    for (int64_t i = keys.offsets[static_cast<size_t>(bag)]; i < keys.offsets[static_cast<size_t>(bag) + 1];
         ++i) {
      if (w.slots.size() >= kKeys) return false;
      const int64_t key = keys.keys[static_cast<size_t>(i)], slot = bag % keys.slots;
      const auto [known, is_new] = w.slots.try_emplace(key, slot);
      if (is_new || known->second == slot) continue;
      log::warning(
          "embedding \"{}\": key {} is in slots {} and {}. Slots of a localized embedding must have keys of "
          "their "
          "own: else results depend on the number of ranks, and snapshots of several ranks do not load. "
          "slot_size_array of DataReaderParams keeps the keys of Raw and Parquet apart; a distributed "
          "embedding "
          "shares them",
          w.embedding, key, std::min(slot, known->second), std::max(slot, known->second));
      return true;
    }
  return false;
}

}  // namespace ctr
