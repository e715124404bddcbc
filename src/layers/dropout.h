// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "base/random.h"
#include "kernels/kernel.h"

namespace ctr {

// Whether a sample's element is kept depends on the seed, the layer's name, the step, the sample's place in
// the global batch and the element's place in the sample: on nothing that ranks, back ends or fusion change.
//
// Elements of a sample are taken in groups of 64; Philox block `lane` of a group decides elements lane, 16 +
// lane, 32 + lane and 48 + lane of it with its four words. An element is dropped when its word is below the
// threshold.
struct DropoutMask {
  static constexpr int kLanes = 16, kGroup = 4 * kLanes;

  uint64_t key;
  uint32_t step;
  uint32_t threshold;  // drop probability times 2^32

  static DropoutMask make(uint64_t seed, std::string_view layer, int64_t step, float rate) {
    return {seed ^ hash(layer), static_cast<uint32_t>(step),
            static_cast<uint32_t>(static_cast<double>(rate) * 0x1p32)};
  }
  CTR_HOST_DEVICE Random4 words(uint32_t sample, uint32_t group, uint32_t lane) const {
    return random4(key, RandomPurpose::dropout, 0, uint64_t{step} << 32 | sample, group * kLanes + lane);
  }

 private:
  static uint64_t hash(std::string_view name) {  // FNV-1a
    uint64_t h = 0xcbf29ce484222325u;
    for (const char c : name) h = (h ^ static_cast<uint8_t>(c)) * 0x100000001b3u;
    return h;
  }
};

// A tensor as [samples, elements]: the rows of a sample lie side by side. Where a row holds several samples,
// the row counts as one.
struct DropoutLayout {
  int64_t samples, elements;
  int64_t batch;  // samples of this rank

  DropoutLayout(const Shape& x, int64_t batch)
      : samples(x[0] % batch == 0 ? batch : x[0]), elements(x.numel() / samples), batch(batch) {}
  CTR_HOST_DEVICE int64_t groups() const {
    return (elements + DropoutMask::kGroup - 1) / DropoutMask::kGroup;
  }
  // Of this rank's first sample, among those of all ranks.
  CTR_HOST_DEVICE int64_t first(int64_t first_sample) const { return first_sample * samples / batch; }
};

// Kept elements of x are scaled by 1 / (1 - rate). `bits` (i32), 2 groups() words a sample, receives the
// mask: bit i of word w keeps element 32 w + i.
extern Kernel<void(const Tensor& x, const Tensor& y, const Tensor& bits, float rate, std::string_view layer,
                   const DropoutLayout& layout)>
    dropout_forward;
extern Kernel<void(const Tensor& d_y, const Tensor& d_x, const Tensor& bits, float rate,
                   const DropoutLayout& layout, bool accumulate)>
    dropout_backward;

}  // namespace ctr
