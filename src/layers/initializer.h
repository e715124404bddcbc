// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/tensor.h"

namespace ctr {

// A resolved distribution of initial weights: constant(a), uniform(-a, a] or normal(0, a); or row p of a
// matrix is the code of position p (sinusoidal.h).
struct Initializer {
  enum class Kind : uint8_t { constant, uniform, normal, sinusoidal };
  Kind kind = Kind::constant;
  float a = 0;

  static Initializer constant(float value) { return {Kind::constant, value}; }
  static Initializer uniform(double bound) { return {Kind::uniform, static_cast<float>(bound)}; }
  static Initializer normal(double deviation) { return {Kind::normal, static_cast<float>(deviation)}; }
};

// Variance scaling with scale 1 over the mean of the fans: v = 1 / max(1, (fan_in + fan_out) / 2).
Initializer xavier_uniform(double fan_in, double fan_out);  // U(+-sqrt(3 v))
Initializer xavier_normal(double fan_in, double fan_out);   // N(0, sqrt(v) / 0.87962566103423978)

// What a text says whatever the tensor: "Constant(0.5)", "Normal(0.01)", "Uniform(0.05)", "Zero",
// "Sinusoidal".
std::optional<Initializer> explicit_initializer(const std::string& text);

// What an Initializer_t member means for a tensor with these fans: "Default" is the layer's own rule,
// "Uniform" is U(+-1 / (fan_in + fan_out)); or what it says by itself.
Initializer choose_initializer(const std::string& type, double fan_in, double fan_out,
                               const Initializer& by_default);
// The same for a tensor whose only rule is its default.
Initializer choose_initializer(const std::string& type, const Initializer& by_default);

// Fills host memory: element i is a function of (seed, tensor, i) alone.
void initialize(const Initializer& init, uint64_t seed, uint32_t tensor, const Tensor& host);

}  // namespace ctr
