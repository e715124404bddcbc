// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "metrics/catalog.h"
#include "metrics/ratio.h"

namespace ctr {
namespace {

class NormalizedEntropy final : public Metric {
 public:
  void update(const MetricInput& batch) override {
    const auto columns = static_cast<size_t>(batch.columns);
    if (sums_.size() < columns) sums_.resize(columns);
    for (size_t i = 0; i < batch.predictions.size(); ++i) {
      if (is_missing(batch.labels[i])) continue;
      EntropySums& sums = sums_[i % columns];
      sums.loss += LogLossMath::loss(batch.predictions[i], batch.labels[i]);
      sums.positives += static_cast<double>(batch.labels[i]);
      sums.count += 1;
    }
  }
  double value(Comm& comm) override {
    // A rank without samples does not know the number of columns.
    for (const auto& counts : comm.gather_all(std::vector{static_cast<float>(sums_.size())}))
      if (const auto n = static_cast<size_t>(counts[0]); sums_.size() < n) sums_.resize(n);
    double total = 0;
    for (const EntropySums& own : sums_)
      total += normalized_entropy({comm.sum(own.loss), comm.sum(own.positives), comm.sum(own.count)});
    return total / static_cast<double>(sums_.size());
  }
  void reset() override { sums_.clear(); }

 private:
  std::vector<EntropySums> sums_;  // of each column
};

}  // namespace

double normalized_entropy(const EntropySums& s) {
  const double share = s.positives / s.count;
  if (!(share > 0 && share < 1)) return std::nan("");
  const double entropy = -share * std::log(share) - (1 - share) * std::log1p(-share);
  return s.loss / s.count / entropy;
}

std::unique_ptr<Metric> make_log_loss(const Context&) { return std::make_unique<TermRatio<LogLossMath>>(); }
std::unique_ptr<Metric> make_normalized_entropy(const Context&) {
  return std::make_unique<NormalizedEntropy>();
}
std::unique_ptr<Metric> make_calibration(const Context&) {
  return std::make_unique<TermRatio<CalibrationMath>>();
}

}  // namespace ctr
