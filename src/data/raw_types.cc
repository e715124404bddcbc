// SPDX-License-Identifier: Apache-2.0
#include "data/raw_types.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <span>

#include "base/error.h"

namespace ctr {
namespace {

using Values = std::span<const float>;

Values labels_from(const BatchWriter& batch, int64_t first) {
  return {batch.labels(first - batch.size()), batch.labels()};
}

Values dense_from(const BatchWriter& batch, int64_t first) {
  return {batch.dense(first - batch.size()), batch.dense()};
}

RawMismatch mismatch(int64_t first, size_t at, int64_t width, const char* what, const std::string& how) {
  const auto i = static_cast<int64_t>(at);
  return {first + i / width, fmt::format("{} {} is {}", what, i % width, how)};
}

bool is_normal(float v) { return std::fabs(v) >= std::numeric_limits<float>::min(); }

// The first value that is not 0, if none of them is normal.
const float* first_denormal(Values values) {
  if (std::any_of(values.begin(), values.end(), is_normal)) return nullptr;
  const auto it = std::find_if(values.begin(), values.end(), [](float v) { return v != 0; });
  return it == values.end() ? nullptr : &*it;
}

std::string as_integer(float v) {
  return fmt::format("{:g}, the integer {} read as a float; set float_label_dense=False", v,
                     std::bit_cast<int32_t>(v));
}

// Bits of the float, without sign, that was read as the integer v.
int64_t magnitude_bits(float v) { return static_cast<int64_t>(v) + (v < 0 ? int64_t{1} << 31 : 0); }

bool is_everyday_float(float v) {
  const int64_t bits = magnitude_bits(v);
  return bits >= std::bit_cast<int32_t>(0x1p-24f) && bits <= std::bit_cast<int32_t>(0x1p24f);
}

}  // namespace

std::optional<RawMismatch> find_integers(const BatchWriter& batch, int64_t first) {
  const Values labels = labels_from(batch, first), dense = dense_from(batch, first);
  const SampleLayout& layout = batch.layout();
  if (const float* label = first_denormal(labels))
    return mismatch(first, static_cast<size_t>(label - labels.data()), layout.label_dim, "label",
                    as_integer(*label));
  if (std::any_of(labels.begin(), labels.end(), is_normal)) return std::nullopt;
  if (const float* value = first_denormal(dense))
    return mismatch(first, static_cast<size_t>(value - dense.data()), layout.dense_dim, "dense value",
                    as_integer(*value));
  return std::nullopt;
}

std::optional<RawMismatch> find_floats(const BatchWriter& batch, int64_t first) {
  const Values labels = labels_from(batch, first);
  const auto is_integer = [](float v) { return v != 0 && !is_everyday_float(v); };
  if (std::any_of(labels.begin(), labels.end(), is_integer)) return std::nullopt;
  const auto it = std::find_if(labels.begin(), labels.end(), [](float v) { return v != 0; });
  if (it == labels.end()) return std::nullopt;
  const auto value = std::bit_cast<float>(static_cast<int32_t>(magnitude_bits(*it)));
  return mismatch(first, static_cast<size_t>(it - labels.begin()), batch.layout().label_dim, "label",
                  fmt::format("{:.0f}, the float {:.4g} read as an integer; read the file as Raw with "
                              "float_label_dense=True",
                              *it, *it < 0 ? -value : value));
}

std::optional<RawMismatch> find_likely_floats(const BatchWriter& batch, int64_t first) {
  constexpr int kMany = 32;
  static const float smallest = std::log(1.0f + std::bit_cast<int32_t>(0x1p-24f)),
                     largest =
                         std::log(1.0f + std::bit_cast<int32_t>(0x1p24f));  // as dense integers are read
  const Values labels = labels_from(batch, first), dense = dense_from(batch, first);
  if (std::any_of(labels.begin(), labels.end(), [](float v) { return v != 0; })) return std::nullopt;
  int found = 0;
  size_t at = 0;
  for (size_t i = 0; i < dense.size(); ++i) {
    if (dense[i] == 0) continue;
    if (dense[i] < smallest || dense[i] > largest) return std::nullopt;
    if (found++ == 0) at = i;
  }
  if (found < kMany) return std::nullopt;
  return mismatch(
      first, at, batch.layout().dense_dim, "dense value",
      fmt::format("about {:.4g}, as floats of an everyday size are when read as integers, and so are "
                  "all others that are not 0; if the file is of floats, read it with "
                  "float_label_dense=True",
                  std::exp(dense[at]) - 1));
}

const char* integer_hint(float value) {
  const auto bits = std::bit_cast<int32_t>(value);
  constexpr int32_t kSmallest = -0x7fffff, kQuietNan = -0x400000;
  return bits < 0 && bits >= kSmallest && bits != kQuietNan
             ? "; is the file of integers (float_label_dense=False)?"
             : "";
}

}  // namespace ctr
