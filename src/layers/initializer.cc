// SPDX-License-Identifier: Apache-2.0
#include "layers/initializer.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/random.h"

namespace ctr {
namespace {

double fan_average_variance(double fan_in, double fan_out) {
  return 1.0 / std::max(1.0, (fan_in + fan_out) / 2.0);
}

std::array<float, 4> four_elements(const Initializer& init, uint64_t seed, uint32_t tensor, uint64_t block) {
  if (init.kind == Initializer::Kind::constant) return {init.a, init.a, init.a, init.a};
  const Random4 r = random4(seed, RandomPurpose::dense_weight, tensor, block, 0);
  if (init.kind == Initializer::Kind::uniform)
    return {to_uniform(r.v[0], init.a), to_uniform(r.v[1], init.a), to_uniform(r.v[2], init.a),
            to_uniform(r.v[3], init.a)};
  const auto first = to_normal(r.v[0], r.v[1]), second = to_normal(r.v[2], r.v[3]);
  return {first[0] * init.a, first[1] * init.a, second[0] * init.a, second[1] * init.a};
}

}  // namespace

Initializer xavier_uniform(double fan_in, double fan_out) {
  return Initializer::uniform(std::sqrt(3.0 * fan_average_variance(fan_in, fan_out)));
}

Initializer xavier_normal(double fan_in, double fan_out) {
  // The standard deviation of a unit normal truncated at two deviations, although nothing is truncated.
  constexpr double kTruncated = 0.87962566103423978;
  return Initializer::normal(std::sqrt(fan_average_variance(fan_in, fan_out)) / kTruncated);
}

Initializer choose_initializer(const std::string& type, double fan_in, double fan_out,
                               const Initializer& by_default) {
  if (type == "Default") return by_default;
  if (type == "Uniform") return Initializer::uniform(1.0 / (fan_in + fan_out));
  if (type == "XavierNorm") return xavier_normal(fan_in, fan_out);
  if (type == "XavierUniform") return xavier_uniform(fan_in, fan_out);
  if (type == "Zero") return Initializer::constant(0);
  fail_unknown("initializer", type, {"Default", "Uniform", "XavierNorm", "XavierUniform", "Zero"});
}

Initializer choose_initializer(const std::string& type, const Initializer& by_default) {
  const Initializer chosen = choose_initializer(type, 1, 1, by_default);
  return type == "Zero" ? chosen : by_default;
}

void initialize(const Initializer& init, uint64_t seed, uint32_t tensor, const Tensor& host) {
  float* out = host.data<float>();
  const int64_t n = host.numel();
  for (int64_t i = 0; i < n; i += 4) {
    const auto four = four_elements(init, seed, tensor, static_cast<uint64_t>(i / 4));
    std::copy_n(four.begin(), std::min<int64_t>(4, n - i), out + i);
  }
}

}  // namespace ctr
