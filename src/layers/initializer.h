// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "base/tensor.h"

namespace ctr {

// A resolved distribution of initial weights: constant(a), uniform(-a, a] or normal(0, a).
struct Initializer {
  enum class Kind : uint8_t { constant, uniform, normal };
  Kind kind = Kind::constant;
  float a = 0;

  static Initializer constant(float value) { return {Kind::constant, value}; }
  static Initializer uniform(double bound) { return {Kind::uniform, static_cast<float>(bound)}; }
  static Initializer normal(double deviation) { return {Kind::normal, static_cast<float>(deviation)}; }
};

// Variance scaling with scale 1 over the mean of the fans: v = 1 / max(1, (fan_in + fan_out) / 2).
Initializer xavier_uniform(double fan_in, double fan_out);  // U(+-sqrt(3 v))
Initializer xavier_normal(double fan_in, double fan_out);   // N(0, sqrt(v) / 0.87962566103423978)

// Fills host memory: element i is a function of (seed, tensor, i) alone.
void initialize(const Initializer& init, uint64_t seed, uint32_t tensor, const Tensor& host);

}  // namespace ctr
