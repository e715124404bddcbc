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

struct LogLossMath {
  // Probabilities are kept off 0 and 1 by the smallest step of a float below 1.
  CTR_HOST_DEVICE static double loss(float prediction, float label) {
    constexpr double edge = 0x1p-23;
    const double p = prediction < edge ? edge : prediction > 1 - edge ? 1 - edge : double{prediction};
    const double y = label;
    return -(y > 0 ? y * ::log(p) : 0.0) - (y < 1 ? (1 - y) * ::log1p(-p) : 0.0);
  }
  CTR_HOST_DEVICE static RatioTerm term(float prediction, float label) {
    if (is_missing(label)) return {0.0, 0.0};
    return {loss(prediction, label), 1.0};
  }
};
struct CalibrationMath {
  CTR_HOST_DEVICE static RatioTerm term(float prediction, float label) {
    if (is_missing(label)) return {0.0, 0.0};
    return {prediction, label};
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
