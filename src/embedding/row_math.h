// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/random.h"

namespace ctr {

// Scalar math that host and device lookups share.

// Elements [4 * block, 4 * block + 4) of the fresh vector of a key, as random bits: a function of the seed,
// the table and the key alone, so that it depends neither on the number of ranks nor on the order of
// insertion.
CTR_HOST_DEVICE inline Random4 fresh_block(uint64_t seed, uint32_t table, int64_t key, uint32_t block) {
  return random4(seed, RandomPurpose::embedding_row, table, static_cast<uint64_t>(key), block);
}

// Factor of a bag of n keys under the mean combiner.
CTR_HOST_DEVICE inline float mean_factor(int64_t n) { return n > 1 ? 1.0f / static_cast<float>(n) : 1.0f; }

}  // namespace ctr
