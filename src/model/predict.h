// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>
#include <vector>

#include "model/engine.h"

namespace ctr {

// Samples in the caller's memory, without labels.
struct SampleArrays {
  struct Sparse {  // row r = sample * slots + slot has keys [offsets[r], offsets[r + 1])
    std::span<const int64_t> keys, offsets;
  };
  int64_t count = 0;
  std::span<const float> dense;  // [count, dense_dim]
  std::vector<Sparse> sparse;    // as InputSpec::sparse
};

// The model's predictions, a row a sample in the order of the data: the columns of all labels side by side.
// Neither metrics nor readers of the model notice; keys that it does not know are vectors of zeros.
// `source` is in the format of the model's data; empty: its evaluation data.
std::vector<float> predict(Engine& engine, const std::string& source);
std::vector<float> predict(Engine& engine, const SampleArrays& samples);

std::vector<int64_t> prediction_widths(Engine& engine);  // of each label

}  // namespace ctr
