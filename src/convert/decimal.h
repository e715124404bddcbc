// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <charconv>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string_view>

namespace ctr {

// Numbers in text, read to their ends.

// Nothing where the text is no whole number from 0 to 2^32 - 1.
inline std::optional<uint32_t> parse_whole(std::string_view text) {
  if (text.empty() || text.size() > 10) return std::nullopt;
  uint64_t value = 0;
  for (const char c : text) {
    const auto digit = static_cast<uint8_t>(c - '0');
    if (digit > 9) return std::nullopt;
    value = 10 * value + digit;
  }
  if (value > 0xffffffffu) return std::nullopt;
  return static_cast<uint32_t>(value);
}

// The nearest 32-bit float; nothing where the text is no decimal number or lies beyond them.
inline std::optional<float> parse_float(std::string_view text) {
  constexpr double powers[] = {1e0, 1e1, 1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                               1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};
  const bool negative = text.starts_with('-');
  const char* p = text.data() + negative;
  const char* const end = text.data() + text.size();
  uint64_t digits = 0;
  const char* const first = p;
  const char* point = nullptr;
  for (; p < end; ++p) {
    const auto digit = static_cast<uint8_t>(*p - '0');
    if (digit <= 9)
      digits = 10 * digits + digit;
    else if (*p == '.' && !point)
      point = p;
    else
      break;
  }
  const int64_t count = (p - first) - (point != nullptr);
  if (p == end && count > 0 &&
      count <= 15) {  // both factors and so their quotient are as exact as doubles are
    double value = static_cast<double>(digits) / powers[point ? end - point - 1 : 0];
    uint64_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    const bool between_two_floats = (bits & 0x1fffffff) == 0x10000000;
    if (!between_two_floats && (value == 0 || value > 1e-30))
      return static_cast<float>(negative ? -value : value);
  }
  float value = 0;
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error == std::errc{} && stop == end && value - value == 0) return value;
  double wide = 0;  // what is too small for a float is 0 or next to it
  const auto [wide_stop, wide_error] = std::from_chars(text.data(), end, wide);
  if (wide_error != std::errc{} || wide_stop != end || !(wide > -1 && wide < 1)) return std::nullopt;
  return static_cast<float>(wide);
}

}  // namespace ctr
