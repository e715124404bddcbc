// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace ctr {

// Keys of one sparse input for a whole batch. Row r = sample * slots + slot holds keys [offsets[r], offsets[r
// + 1]). 32-bit keys are widened without sign.
struct CsrKeys {
  int64_t slots = 0;
  std::vector<int64_t> offsets;  // batch * slots + 1
  std::vector<int64_t> keys;
  bool is_full = false;  // every slot has as many keys as were declared for it
};

// The samples of a batch from `first` on lie behind each other in a file, from its `number` on.
struct SampleRun {
  int64_t first;
  std::shared_ptr<const std::string> file;
  const char* unit;  // what numbers the samples of such a file: "sample" or "row"
  int64_t number;
};

// One global batch in host memory, as a reader delivers it. Samples from `size` on are padding: zero labels
// and dense values, empty slots.
struct Batch {
  int64_t capacity = 0;       // samples the arrays are laid out for
  int64_t size = 0;           // valid samples
  std::vector<float> labels;  // [capacity, label_dim]
  std::vector<float> dense;   // [capacity, dense_dim]
  std::vector<CsrKeys> sparse;
  std::vector<SampleRun> runs;  // of the valid samples, where the reader knows them
};

// `"part.norm", sample 7`, or the sample's number in the batch.
std::string place_of(const Batch& batch, int64_t sample);

}  // namespace ctr
