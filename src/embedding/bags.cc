// SPDX-License-Identifier: Apache-2.0
#include "embedding/bags.h"

#include <algorithm>
#include <numeric>

#include "base/parallel.h"

namespace ctr {
namespace {

constexpr int64_t kGrain = 4096;  // bags worth one thread

}  // namespace

Bags BagSelector::select(Context& ctx, const EmbeddingSpec& spec, const CsrKeys& input, int64_t batch) {
  require(input.slots == spec.slots && std::ssize(input.offsets) > batch * spec.slots,
          "embedding \"{}\": a batch of {} samples of {} slots expected, the input has {} bags of {} slots",
          spec.name, batch, spec.slots, std::ssize(input.offsets) - 1, input.slots);
  const std::span<const int64_t> offsets(input.offsets.data(), static_cast<size_t>(batch * spec.slots + 1));
  const int rank = ctx.rank, world = ctx.world_size;
  const SlotSet slots = slots_of(spec, rank, world);
  if (world == 1)
    return {slots, offsets, {input.keys.data(), static_cast<size_t>(offsets.back())}, offsets, input.is_full};

  const bool by_slot = is_localized(spec);
  const int64_t bags = batch * slots.count;
  auto input_bag = [&](int64_t b) { return b / slots.count * spec.slots + slots[b % slots.count]; };
  auto mine = [&](int64_t key) { return by_slot || key_owner(key, world) == rank; };

  offsets_.resize(static_cast<size_t>(bags + 1));
  offsets_[0] = 0;
  parallel_for(ctx.threads, bags, kGrain, [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; ++b) {
      const int64_t* bag = &offsets[static_cast<size_t>(input_bag(b))];
      offsets_[static_cast<size_t>(b + 1)] =
          std::count_if(input.keys.data() + bag[0], input.keys.data() + bag[1], mine);
    }
  });
  std::partial_sum(offsets_.begin(), offsets_.end(), offsets_.begin());
  keys_.resize(static_cast<size_t>(offsets_.back()));
  parallel_for(ctx.threads, bags, kGrain, [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; ++b) {
      const int64_t* bag = &offsets[static_cast<size_t>(input_bag(b))];
      std::copy_if(input.keys.data() + bag[0], input.keys.data() + bag[1],
                   keys_.begin() + offsets_[static_cast<size_t>(b)], mine);
    }
  });
  return {slots, offsets_, keys_, by_slot ? std::span<const int64_t>(offsets_) : offsets};
}

}  // namespace ctr
