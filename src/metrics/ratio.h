// SPDX-License-Identifier: Apache-2.0
#pragma once

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

}  // namespace ctr
