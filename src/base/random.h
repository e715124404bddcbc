// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cmath>
#include <cstdint>

#include "base/host_device.h"

namespace ctr {

// What a random number is for. Part of the counter, so that purposes never share numbers.
enum class RandomPurpose : uint32_t { dense_weight = 1, embedding_row = 2, dropout = 3, shuffle = 4 };

struct Random4 {
  uint32_t v[4];
};

// Philox4x32-10 (Salmon et al., SC'11): a pure function of (key, counter), the same on every backend.
CTR_HOST_DEVICE inline Random4 philox(uint64_t key, Random4 c) {
  uint32_t k0 = static_cast<uint32_t>(key), k1 = static_cast<uint32_t>(key >> 32);
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = uint64_t{0xD2511F53u} * c.v[0], p1 = uint64_t{0xCD9E8D57u} * c.v[2];
    c = {{static_cast<uint32_t>(p1 >> 32) ^ c.v[1] ^ k0, static_cast<uint32_t>(p1),
          static_cast<uint32_t>(p0 >> 32) ^ c.v[3] ^ k1, static_cast<uint32_t>(p0)}};
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return c;
}

// Four numbers for block `block` of item `item` (a key, a sample, a weight block) of object `object` (a
// table, a layer, a weight tensor; < 2^24) under `seed`.
CTR_HOST_DEVICE inline Random4 random4(uint64_t seed, RandomPurpose purpose, uint32_t object, uint64_t item,
                                       uint32_t block) {
  return philox(seed, {{static_cast<uint32_t>(item), static_cast<uint32_t>(item >> 32), block,
                        (static_cast<uint32_t>(purpose) << 24) | object}});
}

// (0, 1], 24 bits.
CTR_HOST_DEVICE inline float to_unit(uint32_t u) { return (static_cast<float>(u >> 8) + 1.0f) * 0x1p-24f; }

// Uniform in (-bound, bound].
CTR_HOST_DEVICE inline float to_uniform(uint32_t u, float bound) { return to_unit(u) * 2.0f * bound - bound; }

// Two standard normals from two draws (Box-Muller), in double: initialisation only.
inline std::array<float, 2> to_normal(uint32_t a, uint32_t b) {
  const double r = std::sqrt(-2.0 * std::log((static_cast<double>(a) + 1.0) * 0x1p-32));
  const double angle = 6.283185307179586 * (static_cast<double>(b) * 0x1p-32);
  return {static_cast<float>(r * std::cos(angle)), static_cast<float>(r * std::sin(angle))};
}

}  // namespace ctr
