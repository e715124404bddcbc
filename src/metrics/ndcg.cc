// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>

#include "metrics/catalog.h"

namespace ctr {
namespace {

struct Scored {
  float score, label;
};

double discount(size_t rank) { return 1.0 / std::log2(static_cast<double>(rank) + 2.0); }

// Samples of equal score share their places: each gets the group's mean gain, so the order of reading is
// irrelevant.
double gain(const std::vector<Scored>& ranking) {
  double total = 0;
  for (size_t begin = 0, end; begin < ranking.size(); begin = end) {
    double labels = 0, discounts = 0;
    for (end = begin; end < ranking.size() && ranking[end].score == ranking[begin].score; ++end) {
      labels += ranking[end].label;
      discounts += discount(end);
    }
    total += labels / static_cast<double>(end - begin) * discounts;
  }
  return total;
}

// All columns form one ranking.
class Ndcg final : public Metric {
 public:
  void update(const MetricInput& batch) override {
    scores_.insert(scores_.end(), batch.predictions.begin(), batch.predictions.end());
    labels_.insert(labels_.end(), batch.labels.begin(), batch.labels.end());
  }

  double value(Comm& comm) override {
    std::vector<float> scores, labels;
    for (const auto& part : comm.gather_all(scores_)) scores.insert(scores.end(), part.begin(), part.end());
    for (const auto& part : comm.gather_all(labels_)) labels.insert(labels.end(), part.begin(), part.end());
    return ndcg(scores, labels);
  }

  void reset() override {
    scores_.clear();
    labels_.clear();
  }

 private:
  std::vector<float> scores_, labels_;
};

}  // namespace

double ndcg(std::span<const float> scores, std::span<const float> labels) {
  std::vector<Scored> ranking;
  for (size_t i = 0; i < scores.size(); ++i) {
    if (is_missing(labels[i])) continue;
    if (std::isnan(scores[i])) return std::nan("");
    ranking.push_back({scores[i], labels[i]});
  }
  const auto above = [](const Scored& a, const Scored& b) {
    return a.score != b.score ? a.score > b.score : a.label > b.label;
  };
  std::sort(ranking.begin(), ranking.end(), above);
  const double actual = gain(ranking);
  for (Scored& s : ranking) s.score = s.label;
  std::sort(ranking.begin(), ranking.end(), above);
  return actual / gain(ranking);
}

std::unique_ptr<Metric> make_ndcg(const Context&) { return std::make_unique<Ndcg>(); }

}  // namespace ctr
