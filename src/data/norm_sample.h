// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

#include "data/batch_writer.h"

namespace ctr {

// What one parsed sample was.
struct NormSample {
  enum Defect : uint8_t { none, truncated, bad_nnz, bad_key };
  Defect defect;
  int64_t bytes = 0;  // its length
  int64_t slot = 0;   // of the defect, with the offending value
  int64_t value = 0;
};

// Parses the sample at `begin` behind the committed samples of `batch`, without committing it.
template <class Key>
NormSample parse_norm_sample(const std::byte* begin, const std::byte* end, BatchWriter& batch);

// The longest sample the layout allows.
size_t norm_sample_bytes(const SampleLayout& layout, bool i64_keys);

}  // namespace ctr
