// SPDX-License-Identifier: Apache-2.0
#include "metrics/catalog.h"
#include "metrics/ratio.h"

namespace ctr {
namespace {

class AverageLoss final : public Ratio {
 public:
  void update(const MetricInput& batch) override {
    if (batch.rows == 0) return;  // the loss of no rows is no number
    numerator_ += batch.loss * static_cast<double>(batch.rows);
    denominator_ += static_cast<double>(batch.rows);
  }
};

}  // namespace

std::unique_ptr<Metric> make_average_loss(const Context&) { return std::make_unique<AverageLoss>(); }

}  // namespace ctr
