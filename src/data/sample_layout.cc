// SPDX-License-Identifier: Apache-2.0
#include "data/sample_layout.h"

#include <cmath>
#include <limits>

#include "base/error.h"
#include "base/shape.h"

namespace ctr {
namespace {

// The largest value of the key type is reserved.
int64_t largest_key(bool i64_keys) {
  return i64_keys ? std::numeric_limits<int64_t>::max() - 1 : int64_t{0xfffffffe};
}

void add_input(const SparseInputSpec& input, SampleLayout& layout) {
  require(input.slots() > 0, "sparse input \"{}\": slot_num must be positive, got 0", input.name);
  require(layout.total_slots() + input.slots() <= kMaxSlots, "sparse input \"{}\": more than {} slots in all",
          input.name, kMaxSlots);
  constexpr int64_t kMost = std::numeric_limits<int32_t>::max();
  require(input.max_keys >= 0 && input.max_keys <= kMost,
          "sparse input \"{}\": the keys of a sample must be at most {}, got {}", input.name, kMost,
          input.max_keys);
  const bool shared = input.max_keys > 0 && input.slots() > 1;
  int64_t sum = 0;
  for (const int64_t nnz : input.nnz_per_slot) {
    require(nnz > 0 && nnz <= kMost, "sparse input \"{}\": nnz_per_slot must be in [1, {}], got {}",
            input.name, kMost, nnz);
    layout.slots.push_back({nnz, input.max_keys > 0 ? input.max_keys : nnz, 0, 0, 0});
    sum += nnz;
  }
  layout.inputs.push_back({input.name, layout.total_slots() - input.slots(), input.slots(), sum,
                           input.max_keys > 0 ? input.max_keys : sum, shared});
}

void add_key_ranges(const ReaderSpec& spec, SampleLayout& layout) {
  const int64_t largest = largest_key(spec.i64_keys);
  for (SlotRule& rule : layout.slots) {
    rule.min_key = spec.i64_keys ? std::numeric_limits<int64_t>::min() : 0;
    rule.max_key = largest;
  }
  // Keys of Norm files are global already.
  if (spec.format == DataFormat::norm || spec.slot_size_array.empty()) return;
  require(static_cast<int64_t>(spec.slot_size_array.size()) == layout.total_slots(),
          "slot_size_array has {} entries; the sparse inputs have {} slots", spec.slot_size_array.size(),
          layout.total_slots());
  int64_t offset = 0;
  for (size_t s = 0; s < layout.slots.size(); ++s) {
    const int64_t size = spec.slot_size_array[s];
    require(size >= 0, "slot_size_array[{}] must not be negative, got {}", s, size);
    SlotRule& rule = layout.slots[s];
    rule.min_key = 0;
    rule.max_key = size > 0 ? size - 1 : largest - offset;  // a slot of size 0 has no limit of its own
    if (spec.apply_offsets) rule.key_offset = offset;
    require(size - 1 <= largest - offset,
            "slot_size_array: the sizes up to entry {} add up to more than the key type holds ({}); set "
            "i64_input_key=True",
            s, largest);
    if (spec.apply_offsets) offset += size;
  }
}

}  // namespace

int64_t SampleLayout::max_keys() const {
  int64_t n = 0;
  for (const Input& input : inputs) n += input.max_keys;
  return n;
}

SampleLayout make_layout(const ReaderSpec& spec) {
  require(spec.batch_size > 0, "the batch size must be positive, got {}", spec.batch_size);
  require(spec.label_dim > 0, "label_dim must be positive, got {}", spec.label_dim);
  require(spec.dense_dim >= 0, "dense_dim must not be negative, got {}", spec.dense_dim);
  for (const int64_t width : {spec.label_dim, spec.dense_dim})  // throws where a batch is beyond all memory
    static_cast<void>(Shape{spec.batch_size, width});
  SampleLayout layout{spec.batch_size, spec.label_dim, spec.dense_dim, {}, {}};
  for (const SparseInputSpec& input : spec.sparse) add_input(input, layout);
  add_key_ranges(spec, layout);
  return layout;
}

std::string slot_name(const SampleLayout& layout, int64_t slot) {
  for (const auto& input : layout.inputs)
    if (slot < input.first_slot + input.slots)
      return fmt::format("slot {} of \"{}\"", slot - input.first_slot, input.name);
  return fmt::format("slot {}", slot);
}

void fail_nnz(const SampleLayout& layout, const std::string& where, int64_t slot, int64_t nnz,
              const char* hint) {
  const SlotRule& rule = layout.slots[static_cast<size_t>(slot)];
  for (const auto& input : layout.inputs)
    if (input.slots_share_it && slot >= input.first_slot && slot < input.first_slot + input.slots)
      fail(ErrorKind::invalid_argument,
           "{}, \"{}\": {} keys found in the slots up to {}, at most {} declared for all of a sample "
           "(nnz_per_slot {} of {} slots){}",
           where, input.name, nnz, slot - input.first_slot, input.max_keys, rule.nnz, input.slots, hint);
  fail(ErrorKind::invalid_argument, "{}, {}: {} keys found, at most {} declared{}", where,
       slot_name(layout, slot), nnz, rule.max_nnz, hint);
}

void fail_key(const SampleLayout& layout, const std::string& where, int64_t slot, const std::string& key) {
  const SlotRule& rule = layout.slots[static_cast<size_t>(slot)];
  const bool largest = rule.max_key == largest_key(false) || rule.max_key == largest_key(true);
  fail(ErrorKind::invalid_argument, "{}, {}: key {} is not in [{}, {}]{}", where, slot_name(layout, slot),
       key, rule.min_key, rule.max_key, largest ? "; the largest value of the key type is reserved" : "");
}

void fail_not_finite(const std::string& where, double value, const char* hint) {
  fail(ErrorKind::invalid_argument, "{}: {} is not a finite 32-bit float{}", where,
       std::isnan(value) ? std::fabs(value) : value, hint);
}

}  // namespace ctr
