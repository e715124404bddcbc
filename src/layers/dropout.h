// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/random.h"
#include "kernels/kernel.h"

namespace ctr {

// Columns of a sample are taken in groups of 64; Philox block `lane` of a group decides columns lane, 16 +
// lane, 32 + lane and 48 + lane of it with its four words. An element is dropped when its word is below the
// threshold.
struct DropoutMask {
  static constexpr int kLanes = 16, kGroup = 4 * kLanes;

  uint64_t seed;
  uint32_t layer;
  uint32_t step;
  uint32_t threshold;  // drop probability times 2^32

  static DropoutMask make(uint64_t seed, uint32_t layer, int64_t step, float rate) {
    return {seed, layer, static_cast<uint32_t>(step),
            static_cast<uint32_t>(static_cast<double>(rate) * 0x1p32)};
  }
  CTR_HOST_DEVICE Random4 words(uint32_t sample, uint32_t group, uint32_t lane) const {
    return random4(seed, RandomPurpose::dropout, layer, uint64_t{step} << 32 | sample, group * kLanes + lane);
  }
};

// x and y are [samples, columns]; kept elements are scaled by 1 / (1 - rate). `bits` [samples, 2 ceil(columns
// / 64)] (i32) receives the mask: bit i of word w keeps column 32 w + i.
extern Kernel<void(const Tensor& x, const Tensor& y, const Tensor& bits, float rate, uint32_t layer)>
    dropout_forward;
extern Kernel<void(const Tensor& d_y, const Tensor& d_x, const Tensor& bits, float rate, bool accumulate)>
    dropout_backward;

}  // namespace ctr
