// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/random.h"
#include "kernels/kernel.h"

namespace ctr {

struct SequenceMaskMath {
  // Lengths count whole elements.
  CTR_HOST_DEVICE static bool is_inside(int64_t position, float length) {
    return static_cast<float>(position) < truncf(length);
  }
};

// mask [rows, 1, m, k] is 1 where i < from[row] and j < to[row], else 0.
extern Kernel<void(const Tensor& from, const Tensor& to, const Tensor& mask)> sequence_mask;

}  // namespace ctr
