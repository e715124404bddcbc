// SPDX-License-Identifier: Apache-2.0
#include "layers/initializer.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <string_view>

#include "base/checked.h"
#include "base/random.h"
#include "layers/sinusoidal.h"

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

// The number in "Name(number)"; none without brackets.
std::optional<float> number_in(const std::string& text, size_t name_length) {
  if (name_length == text.size()) return std::nullopt;
  const char *begin = text.data() + name_length + 1, *end = text.data() + text.size() - 1;
  double value = 0;
  const auto [rest, error] = std::from_chars(begin, std::max(begin, end), value);
  require(text.back() == ')' && error == std::errc() && rest == end,
          "initializer \"{}\" must be a name, or a name and a number as in Constant(0.5)", text);
  return checked_float("the number of an initializer", value);
}

}  // namespace

std::optional<Initializer> explicit_initializer(const std::string& text) {
  const size_t name_length = std::min(text.find('('), text.size());
  const std::string_view name = std::string_view(text).substr(0, name_length);
  const std::optional<float> number = number_in(text, name_length);
  const bool has_number = name == "Constant" || name == "Normal" || name == "Uniform";
  require(!number || has_number, "initializer \"{}\": {} has no number", text, name);
  require(number || !has_number || name == "Uniform", "initializer \"{}\" needs a number, as in {}(0.5)",
          text, name);
  require(!number || *number >= 0 || name == "Constant",
          "initializer \"{}\": its number must not be negative", text);
  if (name == "Zero") return Initializer::constant(0);
  if (name == "Sinusoidal") return Initializer{Initializer::Kind::sinusoidal};
  if (!number) return std::nullopt;
  if (name == "Constant") return Initializer::constant(*number);
  return name == "Normal" ? Initializer::normal(*number) : Initializer::uniform(*number);
}

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
  if (const auto given = explicit_initializer(type)) return *given;
  if (type == "Default") return by_default;
  if (type == "Uniform") return Initializer::uniform(1.0 / (fan_in + fan_out));
  if (type == "XavierNorm") return xavier_normal(fan_in, fan_out);
  if (type == "XavierUniform") return xavier_uniform(fan_in, fan_out);
  fail_unknown(
      "initializer", type,
      {"Constant", "Default", "Normal", "Sinusoidal", "Uniform", "XavierNorm", "XavierUniform", "Zero"});
}

Initializer choose_initializer(const std::string& type, const Initializer& by_default) {
  choose_initializer(type, 1, 1, by_default);  // which knows its name
  return explicit_initializer(type).value_or(by_default);
}

void initialize(const Initializer& init, uint64_t seed, uint32_t tensor, const Tensor& host) {
  float* out = host.data<float>();
  const int64_t n = host.numel(), width = host.shape().last();
  if (init.kind == Initializer::Kind::sinusoidal) {
    for (int64_t i = 0; i < n; ++i) out[i] = sinusoidal(i / width, i % width, width);
    return;
  }
  for (int64_t i = 0; i < n; i += 4) {
    const auto four = four_elements(init, seed, tensor, static_cast<uint64_t>(i / 4));
    std::copy_n(four.begin(), std::min<int64_t>(4, n - i), out + i);
  }
}

}  // namespace ctr
