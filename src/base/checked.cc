// SPDX-License-Identifier: Apache-2.0
#include "base/checked.h"

#include <cmath>

#include "base/error.h"

namespace ctr {
namespace {

const char* beyond_float(double value) {
  return std::isfinite(value) && !std::isfinite(static_cast<float>(value))
             ? ", more than a 32-bit float holds"
             : "";
}

}  // namespace

int64_t checked_sum(int64_t a, int64_t b) {
  int64_t sum = 0;
  require(!__builtin_add_overflow(a, b, &sum), "{} + {} is more than 64 bits hold", a, b);
  return sum;
}

int64_t checked_product(int64_t a, int64_t b) {
  int64_t product = 0;
  require(!__builtin_mul_overflow(a, b, &product), "{} x {} is more than 64 bits hold", a, b);
  return product;
}

float checked_float(std::string_view name, double value) {
  const auto narrow = static_cast<float>(value);
  require(std::isfinite(narrow), "{} must be finite, got {}{}", name, value, beyond_float(value));
  return narrow;
}

float checked_nonnegative(std::string_view name, double value) {
  const auto narrow = static_cast<float>(value);
  require(std::isfinite(narrow) && value >= 0, "{} must be finite and not negative, got {}{}", name, value,
          beyond_float(value));
  return narrow;
}

std::string readable(float value) {
  return value == std::floor(value) && std::fabs(value) < 0x1p53f
             ? fmt::format("{}", static_cast<double>(value))
             : fmt::format("{}", value);
}

}  // namespace ctr
