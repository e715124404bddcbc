// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

namespace ctr {

// Keys of one sparse input for a whole batch. Row r = sample * slots + slot holds keys [offsets[r], offsets[r
// + 1]). 32-bit keys are widened without sign.
struct CsrKeys {
  int64_t slots = 0;
  std::vector<int64_t> offsets;  // batch * slots + 1
  std::vector<int64_t> keys;
};

// One global batch in host memory, as a reader delivers it. Samples from `size` on are padding: zero labels
// and dense values, empty slots.
struct Batch {
  int64_t capacity = 0;       // samples the arrays are laid out for
  int64_t size = 0;           // valid samples
  std::vector<float> labels;  // [capacity, label_dim]
  std::vector<float> dense;   // [capacity, dense_dim]
  std::vector<CsrKeys> sparse;
};

}  // namespace ctr
