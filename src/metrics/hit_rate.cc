// SPDX-License-Identifier: Apache-2.0
#include "metrics/catalog.h"
#include "metrics/ratio.h"

namespace ctr {

std::unique_ptr<Metric> make_hit_rate(const Context&) { return std::make_unique<TermRatio<HitRateMath>>(); }

}  // namespace ctr
