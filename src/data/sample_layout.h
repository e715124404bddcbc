// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "data/reader.h"

namespace ctr {

// What a slot accepts, and what is added to its keys.
struct SlotRule {
  int64_t nnz, max_nnz;  // keys declared, and the most that may come
  int64_t min_key, max_key;
  int64_t key_offset;
};

// The shape of a sample as the model wants it; slots of all inputs in one row.
struct SampleLayout {
  struct Input {
    std::string name;
    int64_t first_slot, slots;
    int64_t declared_keys;  // of a sample
    int64_t max_keys;       // that may come
    bool slots_share_it;    // else each slot has a bound of its own
  };
  int64_t batch_size, label_dim, dense_dim;
  std::vector<Input> inputs;
  std::vector<SlotRule> slots;

  int64_t total_slots() const { return static_cast<int64_t>(slots.size()); }
  int64_t max_keys() const;  // of one sample
};

// Throws invalid_argument when the parts of the spec that shape a sample are unusable.
SampleLayout make_layout(const ReaderSpec& spec);

// `slot 2 of "wide_data"`.
std::string slot_name(const SampleLayout& layout, int64_t slot);

// `where` names the file and the row; `nnz` are the keys of the slot, or of the sample where slots share a
// bound.
[[noreturn]] void fail_nnz(const SampleLayout& layout, const std::string& where, int64_t slot, int64_t nnz,
                           const char* hint = "");
[[noreturn]] void fail_key(const SampleLayout& layout, const std::string& where, int64_t slot,
                           const std::string& key);
// A label or dense value that is a NaN or an infinity, or becomes one as a 32-bit float; `where` names it.
[[noreturn]] void fail_not_finite(const std::string& where, double value, const char* hint = "");

}  // namespace ctr
