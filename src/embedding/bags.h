// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "device/context.h"
#include "embedding/placement.h"

namespace ctr {

// The keys one rank looks up for a whole batch: bag b holds keys [offsets[b], offsets[b + 1]) of sample
// b / slots.count and slot slots[b % slots.count]. A view of the input where that is all of it.
struct Bags {
  SlotSet slots{0, 1, 0};
  std::span<const int64_t> offsets;
  std::span<const int64_t> keys;
  // The same bags over all ranks: bag b has data_offsets[b + 1] - data_offsets[b] keys in the data.
  std::span<const int64_t> data_offsets;
  bool is_full = false;  // every bag has as many keys as were declared for its slot

  int64_t count() const { return std::ssize(offsets) - 1; }
  int64_t sample(int64_t bag) const { return bag / slots.count; }
  int64_t slot(int64_t bag) const { return slots[bag % slots.count]; }
};

// Picks this rank's keys out of an input. Owns the copy if there has to be one.
class BagSelector {
 public:
  // The result refers to `input` or to this object and lasts until the next call.
  Bags select(Context& ctx, const EmbeddingSpec& spec, const CsrKeys& input, int64_t batch);

 private:
  std::vector<int64_t> offsets_;
  std::vector<int64_t> keys_;
};

}  // namespace ctr
