// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "metrics/catalog.h"
#include "metrics/ratio.h"

namespace ctr {
namespace {

class Smape final : public Ratio {
 public:
  void update(const MetricInput& batch) override {
    for (size_t i = 0; i < batch.predictions.size(); ++i) {
      const double p = batch.predictions[i], y = batch.labels[i];
      if (p != y) numerator_ += std::abs(p - y) / ((p + y) / 2);  // 0 of 0 is no error
    }
    denominator_ += static_cast<double>(batch.predictions.size());
  }
};

}  // namespace

std::unique_ptr<Metric> make_smape() { return std::make_unique<Smape>(); }

}  // namespace ctr
