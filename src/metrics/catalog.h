// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "metrics/metric.h"

namespace ctr {

std::unique_ptr<Metric> make_auc(const Context& ctx);
std::unique_ptr<Metric> make_average_loss(const Context& ctx);
std::unique_ptr<Metric> make_hit_rate(const Context& ctx);
std::unique_ptr<Metric> make_ndcg(const Context& ctx);
std::unique_ptr<Metric> make_smape(const Context& ctx);

// Of one ranking of all samples; NaN when a score is.
double ndcg(std::span<const float> scores, std::span<const float> labels);

}  // namespace ctr
