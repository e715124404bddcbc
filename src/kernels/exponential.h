// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

#include "base/random.h"

namespace ctr {

// exp(x) to within 2 units in the last place for every float, subnormal results included. On a CPU it has
// neither branch nor call, so that compilers vectorize loops over it, which those over the C library's expf
// are not.
CTR_HOST_DEVICE inline float exponential(float x) {
#ifdef __CUDA_ARCH__
  return expf(x);
#else
  constexpr float log2_e = 1.44269504f, ln2_high = 0.693359375f, ln2_low = -2.12194440e-4f;
  constexpr float rounding = 12582912.0f;  // 1.5 * 2^23: what is added to it ends up in its last bits
  x = x > 89.0f ? 89.0f : x;               // gives inf
  x = x < -105.0f ? -105.0f : x;           // gives 0
  // x = n ln 2 + r, |r| <= ln 2 / 2
  const float shifted = x * log2_e + rounding, n = shifted - rounding;
  const float r = x - n * ln2_high - n * ln2_low;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * (r * r) + r + 1.0f;
  // 2^n as two factors, since it need not be a normal number itself
  const int32_t exponent = std::bit_cast<int32_t>(shifted) - std::bit_cast<int32_t>(rounding);
  const int32_t half = exponent >> 1;
  const auto power = [](int32_t e) { return std::bit_cast<float>(static_cast<uint32_t>(e + 127) << 23); };
  return p * power(half) * power(exponent - half);
#endif
}

}  // namespace ctr
