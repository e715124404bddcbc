// SPDX-License-Identifier: Apache-2.0
#include "base/intervals.h"

#include <gtest/gtest.h>

#include <random>

namespace ctr {
namespace {

TEST(Intervals, AreTheSetOfTheirNumbers) {
  constexpr int64_t kNumbers = 40;
  std::mt19937 random(1);
  for (int run = 0; run < 200; ++run) {
    Intervals intervals;
    std::vector<bool> numbers(kNumbers);
    for (int step = 0; step < 20; ++step) {
      const auto draw = [&] {
        const int64_t a = random() % (kNumbers + 1), b = random() % (kNumbers + 1);
        return Range{std::min(a, b), std::max(a, b)};
      };
      const Range added = draw(), asked = draw();
      intervals.add(added);
      for (int64_t i = added.begin; i < added.end; ++i) numbers[static_cast<size_t>(i)] = true;
      std::vector<bool> missing(kNumbers);
      for (const Range gap : intervals.gaps(asked)) {
        ASSERT_LT(gap.begin, gap.end);
        for (int64_t i = gap.begin; i < gap.end; ++i) missing[static_cast<size_t>(i)] = true;
      }
      bool meets = false;
      for (int64_t i = 0; i < kNumbers; ++i) {
        const bool is_asked = asked.begin <= i && i < asked.end, is_there = numbers[static_cast<size_t>(i)];
        meets |= is_asked && is_there;
        ASSERT_EQ(missing[static_cast<size_t>(i)], is_asked && !is_there);
      }
      ASSERT_EQ(intervals.meets(asked), meets);
    }
  }
}

}  // namespace
}  // namespace ctr
