// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <map>
#include <vector>

#include "base/parallel.h"

namespace ctr {

// A set of whole numbers that costs as much as it has gaps.
class Intervals {
 public:
  bool meets(Range r) const {
    if (r.begin >= r.end) return false;
    const auto next = ends_.lower_bound(r.end);  // the first that begins behind
    return next != ends_.begin() && std::prev(next)->second > r.begin;
  }

  void add(Range r) {
    if (r.begin >= r.end) return;
    auto first = ends_.upper_bound(r.begin);
    if (first != ends_.begin() && std::prev(first)->second >= r.begin) --first;
    auto last = first;
    for (; last != ends_.end() && last->first <= r.end; ++last)
      r = {std::min(r.begin, last->first), std::max(r.end, last->second)};
    ends_.erase(first, last);
    ends_[r.begin] = r.end;
  }

  // What of r is missing, in order.
  std::vector<Range> gaps(Range r) const {
    std::vector<Range> missing;
    auto next = ends_.upper_bound(r.begin);
    if (next != ends_.begin()) r.begin = std::max(r.begin, std::prev(next)->second);
    for (; next != ends_.end() && next->first < r.end; r.begin = (next++)->second)
      if (r.begin < next->first) missing.push_back({r.begin, next->first});
    if (r.begin < r.end) missing.push_back(r);
    return missing;
  }

 private:
  std::map<int64_t, int64_t> ends_;  // by begin; neither meeting nor touching
};

}  // namespace ctr
