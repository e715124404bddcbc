// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>

#include "base/random.h"
#include "metrics/metric.h"

namespace ctr {

// A metric that is one sum divided by another; NaN when nothing was counted.
class Ratio : public Metric {
 public:
  double value(Comm& comm) final {
    const double numerator = comm.sum(numerator_);
    return numerator / comm.sum(denominator_);
  }
  void reset() final { numerator_ = denominator_ = 0; }

 protected:
  double numerator_ = 0, denominator_ = 0;  // counts stay exact up to 2^53
};

// What one prediction adds to the sums of a ratio.
struct RatioTerm {
  double numerator, denominator;
};
struct HitRateMath {
  CTR_HOST_DEVICE static RatioTerm term(float prediction, float label) {
    if (prediction != prediction) return {prediction, 1.0};  // not a number: neither is the rate
    const bool is_checked = prediction > 0.8f && !is_missing(label);
    return {is_checked && is_positive(label) ? 1.0 : 0.0, is_checked ? 1.0 : 0.0};
  }
};
struct SmapeMath {
  CTR_HOST_DEVICE static RatioTerm term(float prediction, float label) {
    if (is_missing(label)) return {0.0, 0.0};
    const double p = prediction, y = label;
    return {p == y ? 0.0 : fabs(p - y) / ((p + y) / 2), 1.0};  // 0 of 0 is no error
  }
};

template <class Math>
class TermRatio final : public Ratio {
 public:
  void update(const MetricInput& batch) override {
    for (size_t i = 0; i < batch.predictions.size(); ++i) {
      const RatioTerm term = Math::term(batch.predictions[i], batch.labels[i]);
      numerator_ += term.numerator;
      denominator_ += term.denominator;
    }
  }
};

}  // namespace ctr
