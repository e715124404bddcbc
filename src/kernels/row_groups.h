// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <vector>

#include "base/parallel.h"
#include "device/context.h"

namespace ctr {

inline constexpr int64_t kRowGroup = 128;                   // rows that are summed by themselves, at least
inline constexpr int64_t kMaxGroupSums = int64_t{1} << 22;  // elements of the sums of all groups
inline constexpr int64_t kRowSumGrain = 16384;              // elements worth one thread

// The sum of [rows, width] terms over their rows, valid until this thread's next one. add_rows(begin, end,
// sum) adds the terms of some rows to sum[0..width). Rows come in groups, each summed by itself: threads read
// whole stretches of memory, their number changes no bit, and rounding errors of long sums stay small.
template <class AddRows>
const float* sum_over_rows(const Context& ctx, int64_t rows, int64_t width, const AddRows& add_rows) {
  thread_local std::vector<float> memory;
  const int64_t group = std::max(kRowGroup, rows * width / kMaxGroupSums),
                groups = std::max<int64_t>(1, (rows + group - 1) / group);
  memory.assign(static_cast<size_t>(groups * width), 0.0f);
  float* const sums = memory.data();
  parallel_for(ctx.threads, groups, 1 + kRowSumGrain / (group * width + 1), [&](int64_t begin, int64_t end) {
    for (int64_t g = begin; g < end; ++g)
      add_rows(g * group, std::min(rows, (g + 1) * group), sums + g * width);
  });
  parallel_for(ctx.threads, width, 1 + kRowSumGrain / groups, [&](int64_t begin, int64_t end) {
    for (int64_t g = 1; g < groups; ++g)
      for (int64_t j = begin; j < end; ++j) sums[j] += sums[g * width + j];
  });
  return sums;
}

}  // namespace ctr
