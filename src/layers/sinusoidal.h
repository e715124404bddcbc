// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <cstdint>

#include "base/host_device.h"

namespace ctr {

// The code of a position: in columns 2i and 2i + 1 the sine and cosine of position / 10000^(2i / width).
CTR_HOST_DEVICE inline float sinusoidal(int64_t position, int64_t column, int64_t width) {
  const double even = static_cast<double>(column - column % 2);
  const double angle = static_cast<double>(position) * ::pow(10000.0, -even / static_cast<double>(width));
  return static_cast<float>(column % 2 == 0 ? ::sin(angle) : ::cos(angle));
}

}  // namespace ctr
