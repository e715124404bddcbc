// SPDX-License-Identifier: Apache-2.0
#include "metrics/catalog.h"
#include "metrics/ratio.h"

namespace ctr {
namespace {

class HitRate final : public Ratio {
 public:
  void update(const MetricInput& batch) override {
    constexpr float kCut = 0.8f;
    int64_t hits = 0, checked = 0;
    for (size_t i = 0; i < batch.predictions.size(); ++i) {
      const bool is_checked = batch.predictions[i] > kCut;
      checked += is_checked;
      hits += is_checked && is_positive(batch.labels[i]);
    }
    numerator_ += static_cast<double>(hits);
    denominator_ += static_cast<double>(checked);
  }
};

}  // namespace

std::unique_ptr<Metric> make_hit_rate() { return std::make_unique<HitRate>(); }

}  // namespace ctr
