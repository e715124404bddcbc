// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <vector>

#include "data/batch.h"
#include "model/spec.h"

namespace ctr {

// The key that groups the samples of GAUC: that of one slot of a sparse input.
class SampleGroups {
 public:
  // Throws invalid_argument where GAUC is wanted of an input or a slot that is not there.
  explicit SampleGroups(const ModelSpec& spec);

  // Of samples [first, first + count); empty where no metric asks. Valid until the next call.
  std::span<const int64_t> of(const Batch& batch, int64_t first, int64_t count);

 private:
  bool wanted_;
  size_t input_ = 0;
  int64_t slot_ = 0;
  std::vector<int64_t> groups_;
};

}  // namespace ctr
