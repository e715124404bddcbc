// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>

#include "base/dtype.h"

namespace ctr {

__extension__ using Int128 = __int128;
__extension__ using UInt128 = unsigned __int128;

// Values of an Arrow array that are no C numbers, as if they were: element i is converted when asked for.
struct ArrowBits {
  const uint8_t* bytes;
  int64_t first;
  uint8_t operator[](int64_t i) const {
    return static_cast<uint8_t>(bytes[(first + i) / 8] >> ((first + i) % 8) & 1);
  }
};

struct ArrowHalves {
  const f16* values;
  float operator[](int64_t i) const { return to_float(values[i]); }
};

// Whole numbers of 4, 8, 16 or 32 bytes in units of 1 / `divisor`, which is 10^`scale`.
struct ArrowDecimals {
  const std::byte* values;
  int64_t bytes;
  int scale;
  double divisor;

  double operator[](int64_t i) const {
    uint64_t limbs[4];
    const bool negative = load(i, limbs);
    double magnitude = 0;
    for (int k = 3; k >= 0; --k)
      magnitude = magnitude * 0x1p64 + static_cast<double>(negative ? ~limbs[k] : limbs[k]);
    return (negative ? -(magnitude + 1) : magnitude) / divisor;
  }
  // Where no digits are behind the point; what 128 bits cannot hold is the next number that they can.
  Int128 whole(int64_t i) const;
  std::string whole_text(int64_t i) const;

 private:
  // Extends the sign; true for a negative number.
  bool load(int64_t i, uint64_t (&limbs)[4]) const {
    const std::byte* from = values + i * bytes;
    const bool negative = (from[bytes - 1] & std::byte{0x80}) != std::byte{0};
    std::memset(limbs, negative ? 0xff : 0, sizeof limbs);
    std::memcpy(limbs, from, static_cast<size_t>(bytes));
    return negative;
  }
};

}  // namespace ctr
