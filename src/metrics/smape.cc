// SPDX-License-Identifier: Apache-2.0
#include "metrics/catalog.h"
#include "metrics/ratio.h"

namespace ctr {

std::unique_ptr<Metric> make_smape(const Context&) { return std::make_unique<TermRatio<SmapeMath>>(); }

}  // namespace ctr
