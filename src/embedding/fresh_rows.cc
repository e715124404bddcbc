// SPDX-License-Identifier: Apache-2.0
#include "embedding/fresh_rows.h"

#include <cmath>

#include "embedding/placement.h"

namespace ctr {

Initializer fresh_rows(const EmbeddingSpec& spec, int64_t slot) {
  const bool is_one_hot = spec.type == EmbeddingType::localized_one_hot;
  const Initializer uniform = Initializer::uniform(
      is_one_hot ? std::sqrt(1.0 / static_cast<double>(spec.slot_size_array[static_cast<size_t>(slot)]))
                 : 0.05);
  if (spec.initializer == "Uniform") return uniform;  // the bound without a number
  const bool knows_keys = is_localized(spec) && !spec.slot_size_array.empty();
  require(
      knows_keys || !spec.initializer.starts_with("Xavier"),
      "initializer {} needs the slot_size_array of a localized embedding, which tells how many keys there "
      "are",
      spec.initializer);
  double keys = 0;
  for (const int64_t size : spec.slot_size_array) keys += static_cast<double>(size);
  return choose_initializer(spec.initializer, keys, static_cast<double>(spec.dim), uniform);
}

FreshRows::FreshRows(const EmbeddingSpec& spec) {
  const bool differ = spec.type == EmbeddingType::localized_one_hot;
  for (int64_t slot = 0; slot < (differ ? spec.slots : 1); ++slot) by_slot_.push_back(fresh_rows(spec, slot));
}

}  // namespace ctr
