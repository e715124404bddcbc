// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "metrics/metric.h"

namespace ctr {

std::unique_ptr<Metric> make_auc();
std::unique_ptr<Metric> make_average_loss();
std::unique_ptr<Metric> make_hit_rate();
std::unique_ptr<Metric> make_ndcg();
std::unique_ptr<Metric> make_smape();

}  // namespace ctr
