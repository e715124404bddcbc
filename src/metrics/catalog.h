// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "metrics/metric.h"

namespace ctr {

std::unique_ptr<Metric> make_auc(const Context& ctx);
std::unique_ptr<Metric> make_average_loss(const Context& ctx);
std::unique_ptr<Metric> make_gauc(const Context& ctx);
std::unique_ptr<Metric> make_hit_rate(const Context& ctx);
std::unique_ptr<Metric> make_calibration(const Context& ctx);
std::unique_ptr<Metric> make_log_loss(const Context& ctx);
std::unique_ptr<Metric> make_normalized_entropy(const Context& ctx);
std::unique_ptr<Metric> make_ndcg(const Context& ctx);
std::unique_ptr<Metric> make_smape(const Context& ctx);

// Sums over the samples of one column, and what NormalizedEntropy makes of those of all ranks: NaN where one
// class is missing.
struct EntropySums {
  double loss = 0, positives = 0, count = 0;
};
double normalized_entropy(const EntropySums& sums);

// Of one ranking of all samples; NaN when a score is.
double ndcg(std::span<const float> scores, std::span<const float> labels);

}  // namespace ctr
