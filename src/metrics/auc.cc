// SPDX-License-Identifier: Apache-2.0
#include <bit>
#include <cmath>
#include <limits>

#include "metrics/catalog.h"

namespace ctr {
namespace {

// Ascending radix sort of floats that are not NaN: three passes of 11 bits over keys of the same order.
void sort_scores(std::vector<float>& scores) {
  constexpr int kPasses = 3, kBits = 11, kBuckets = 1 << kBits;
  constexpr uint32_t kSign = 0x80000000u, kMask = kBuckets - 1;
  std::vector<uint32_t> keys(scores.size()), next(scores.size());
  std::vector<size_t> starts(static_cast<size_t>(kPasses * kBuckets));
  for (size_t i = 0; i < scores.size(); ++i) {
    const auto bits = std::bit_cast<uint32_t>(scores[i]);
    keys[i] = bits & kSign ? ~bits : bits | kSign;
    for (int pass = 0; pass < kPasses; ++pass)
      ++starts[static_cast<size_t>(pass * kBuckets) + (keys[i] >> (pass * kBits) & kMask)];
  }
  for (int pass = 0; pass < kPasses; ++pass) {
    size_t* start = starts.data() + pass * kBuckets;
    for (size_t b = 0, total = 0; b < kBuckets; ++b) total += std::exchange(start[b], total);
    for (const uint32_t key : keys) next[start[key >> (pass * kBits) & kMask]++] = key;
    keys.swap(next);
  }
  for (size_t i = 0; i < scores.size(); ++i)
    scores[i] = std::bit_cast<float>(keys[i] & kSign ? keys[i] ^ kSign : ~keys[i]);
}

// Over all pairs of two ascending lists: 2 where the positive is above, 1 for a tie.
int64_t twice_wins(const std::vector<float>& positives, const std::vector<float>& negatives) {
  int64_t twice = 0;
  size_t below = 0, upto = 0;  // negatives < p, negatives <= p
  for (const float p : positives) {
    while (below < negatives.size() && negatives[below] < p) ++below;
    while (upto < negatives.size() && negatives[upto] <= p) ++upto;
    twice += static_cast<int64_t>(below + upto);
  }
  return twice;
}

// Each rank compares its positives with the negatives of all ranks, so the ranks share the work and the
// result is the exact AUC of the union.
class Auc final : public Metric {
 public:
  void update(const MetricInput& batch) override {
    const auto columns = static_cast<size_t>(batch.columns);
    if (columns_.size() < columns) columns_.resize(columns);
    for (size_t i = 0; i < batch.predictions.size(); ++i) {
      if (is_missing(batch.labels[i])) continue;
      Column& column = columns_[columns == 1 ? 0 : i % columns];
      const float score = batch.predictions[i];
      if (std::isnan(score))
        ++not_numbers_;
      else
        (is_positive(batch.labels[i]) ? column.positives : column.negatives).push_back(score);
    }
  }

  double value(Comm& comm) override {
    constexpr double kUndefined = std::numeric_limits<double>::quiet_NaN();
    if (comm.sum(static_cast<double>(not_numbers_)) > 0) return kUndefined;
    // A rank without samples does not know the number of columns.
    for (const auto& counts : comm.gather_all(std::vector{static_cast<float>(columns_.size())}))
      if (const auto n = static_cast<size_t>(counts[0]); columns_.size() < n) columns_.resize(n);
    double total = 0;
    for (Column& column : columns_) total += area(column, comm);
    return columns_.empty() ? kUndefined : total / static_cast<double>(columns_.size());
  }

  void reset() override {
    for (Column& column : columns_) {
      column.positives.clear();
      column.negatives.clear();
    }
    not_numbers_ = 0;
  }

 private:
  struct Column {
    std::vector<float> positives, negatives;
  };

  static double area(Column& column, Comm& comm) {
    sort_scores(column.positives);
    sort_scores(column.negatives);
    int64_t twice = 0;
    for (const auto& negatives : comm.gather_all(column.negatives))
      twice += twice_wins(column.positives, negatives);
    const double wins = comm.sum(static_cast<double>(twice) / 2);
    const double positives = comm.sum(static_cast<double>(column.positives.size()));
    const double negatives = comm.sum(static_cast<double>(column.negatives.size()));
    return wins / (positives * negatives);  // NaN when there is nothing to compare
  }

  std::vector<Column> columns_;
  int64_t not_numbers_ = 0;
};

}  // namespace

std::unique_ptr<Metric> make_auc(const Context&) { return std::make_unique<Auc>(); }

}  // namespace ctr
