// SPDX-License-Identifier: Apache-2.0
#include "base/error.h"

#include <algorithm>
#include <cctype>
#include <numeric>

namespace ctr {
namespace {

size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i);
    for (size_t j = 1; j <= b.size(); ++j) {
      const bool equal = std::tolower(static_cast<unsigned char>(a[i - 1])) ==
                         std::tolower(static_cast<unsigned char>(b[j - 1]));
      const size_t replace = diagonal + (equal ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({replace, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row.back();
}

}  // namespace

void fail_unknown(std::string_view what, std::string_view name, const std::vector<std::string>& candidates) {
  std::string known, nearest;
  size_t best = name.size() / 2 + 1;
  for (const auto& candidate : candidates) {
    known += (known.empty() ? "" : ", ") + candidate;
    if (const size_t distance = edit_distance(name, candidate); distance < best) {
      best = distance;
      nearest = candidate;
    }
  }
  const std::string hint = nearest.empty() ? "" : fmt::format("; did you mean \"{}\"?", nearest);
  fail(ErrorKind::not_found, "unknown {} \"{}\"{} Known: {}", what, name, hint.empty() ? "." : hint, known);
}

}  // namespace ctr
