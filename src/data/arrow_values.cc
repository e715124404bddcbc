// SPDX-License-Identifier: Apache-2.0
#include "data/arrow_values.h"

#include <algorithm>

namespace ctr {
namespace {

using Limbs = uint64_t[4];

void negate(Limbs& limbs) {
  bool carry = true;
  for (uint64_t& limb : limbs) {
    limb = ~limb + carry;
    carry = carry && limb == 0;
  }
}

// Returns the remainder.
uint64_t divide(Limbs& limbs, uint64_t divisor) {
  UInt128 rest = 0;
  for (int k = 3; k >= 0; --k) {
    const UInt128 part = rest << 64 | limbs[k];
    limbs[k] = static_cast<uint64_t>(part / divisor);
    rest = part % divisor;
  }
  return static_cast<uint64_t>(rest);
}

bool is_zero(const Limbs& limbs) { return !(limbs[0] | limbs[1] | limbs[2] | limbs[3]); }

}  // namespace

Int128 ArrowDecimals::whole(int64_t i) const {
  constexpr auto kLargest = static_cast<Int128>(~UInt128{0} >> 1);
  Limbs limbs;
  const bool negative = load(i, limbs);
  if (negative) negate(limbs);
  const bool fits = !(limbs[3] | limbs[2] | limbs[1] >> 63);
  Int128 value = fits ? static_cast<Int128>(UInt128{limbs[1]} << 64 | limbs[0]) : kLargest;
  for (int left = scale; left < 0; ++left) value = value > kLargest / 10 ? kLargest : 10 * value;
  return negative ? -value : value;
}

std::string ArrowDecimals::whole_text(int64_t i) const {
  Limbs limbs;
  const bool negative = load(i, limbs);
  if (negative) negate(limbs);
  std::string digits(static_cast<size_t>(std::max(-scale, 0)), '0');  // the last one first
  do digits += static_cast<char>('0' + divide(limbs, 10));
  while (!is_zero(limbs));
  if (negative) digits += '-';
  return {digits.rbegin(), digits.rend()};
}

}  // namespace ctr
