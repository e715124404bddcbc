// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "metrics/catalog.h"

namespace ctr {
namespace {

// As ranks exchange it: floats carry any bits.
struct Sample {
  float group_low, group_high, score, label;

  static Sample of(int64_t group, float score, float label) {
    const auto bits = static_cast<uint64_t>(group);
    return {std::bit_cast<float>(static_cast<uint32_t>(bits)),
            std::bit_cast<float>(static_cast<uint32_t>(bits >> 32)), score, label};
  }
  int64_t group() const {
    return static_cast<int64_t>(uint64_t{std::bit_cast<uint32_t>(group_high)} << 32 |
                                std::bit_cast<uint32_t>(group_low));
  }
};
constexpr size_t kFloats = sizeof(Sample) / sizeof(float);

struct Ranked {
  int64_t group;
  float score;
  bool positive;
};

// Samples that have both classes in their group, and their groups' areas, each times its samples.
struct GroupSums {
  double area = 0, count = 0;
};

// Of one group, in ascending order of scores.
void add_group(std::span<const Ranked> group, GroupSums& sums) {
  int64_t positives = 0, negatives = 0, twice_wins = 0;
  for (size_t i = 0, end; i < group.size(); i = end) {  // equal scores at a time
    int64_t with = 0, without = 0;
    for (end = i; end < group.size() && group[end].score == group[i].score; ++end)
      ++(group[end].positive ? with : without);
    twice_wins += with * (2 * negatives + without);
    positives += with;
    negatives += without;
  }
  if (positives == 0 || negatives == 0) return;
  const auto count = static_cast<double>(group.size());
  sums.count += count;
  sums.area += count * (static_cast<double>(twice_wins) / 2) /
               (static_cast<double>(positives) * static_cast<double>(negatives));
}

// Each rank gets all samples, and does the groups whose number is its own.
class Gauc final : public Metric {
 public:
  void update(const MetricInput& batch) override {
    const auto columns = static_cast<size_t>(batch.columns);
    if (columns_.size() < columns) columns_.resize(columns);
    for (size_t i = 0; i < batch.predictions.size(); ++i) {
      const int64_t group = batch.groups[i / columns];
      if (is_missing(batch.labels[i]) || group == kNoGroup) continue;
      not_numbers_ += std::isnan(batch.predictions[i]);
      columns_[i % columns].push_back(Sample::of(group, batch.predictions[i], batch.labels[i]));
    }
  }

  double value(Comm& comm) override {
    constexpr double kUndefined = std::numeric_limits<double>::quiet_NaN();
    if (comm.sum(static_cast<double>(not_numbers_)) > 0) return kUndefined;
    // A rank without samples does not know the number of columns.
    for (const auto& counts : comm.gather_all(std::vector{static_cast<float>(columns_.size())}))
      if (const auto n = static_cast<size_t>(counts[0]); columns_.size() < n) columns_.resize(n);
    double total = 0;
    for (const auto& column : columns_) {
      const GroupSums own = sums(column, comm);
      const double area = comm.sum(own.area);
      total += area / comm.sum(own.count);  // NaN where no group has both classes
    }
    return columns_.empty() ? kUndefined : total / static_cast<double>(columns_.size());
  }

  void reset() override {
    for (auto& column : columns_) column.clear();
    not_numbers_ = 0;
  }

 private:
  static GroupSums sums(const std::vector<Sample>& column, Comm& comm) {
    std::vector<Ranked> own;
    for (const auto& floats :
         comm.gather_all({reinterpret_cast<const float*>(column.data()), kFloats * column.size()})) {
      const auto* samples = reinterpret_cast<const Sample*>(floats.data());
      for (size_t i = 0; i < floats.size() / kFloats; ++i)
        if (const int64_t group = samples[i].group();
            static_cast<uint64_t>(group) % static_cast<uint64_t>(comm.size()) ==
            static_cast<uint64_t>(comm.rank()))
          own.push_back({group, samples[i].score, is_positive(samples[i].label)});
    }
    std::sort(own.begin(), own.end(), [](const Ranked& a, const Ranked& b) {
      return a.group != b.group ? a.group < b.group : a.score < b.score;
    });
    GroupSums sums;
    for (size_t i = 0, end; i < own.size(); i = end) {
      for (end = i; end < own.size() && own[end].group == own[i].group;) ++end;
      add_group({own.data() + i, end - i}, sums);
    }
    return sums;
  }

  std::vector<std::vector<Sample>> columns_;
  int64_t not_numbers_ = 0;
};

}  // namespace

std::unique_ptr<Metric> make_gauc(const Context&) { return std::make_unique<Gauc>(); }

}  // namespace ctr
