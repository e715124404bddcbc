// SPDX-License-Identifier: Apache-2.0
#include "metrics/metric.h"

#include <vector>

#include "base/random.h"
#include "bench.h"

namespace ctr::bench {

void metric_rates(int) {
  heading("metrics, 1 M samples, one rank");
  constexpr int64_t kRows = 1 << 20;
  std::vector<float> predictions(kRows), labels(kRows);
  for (int64_t i = 0; i < kRows; ++i) {
    const Random4 random = random4(1, RandomPurpose::shuffle, 0, static_cast<uint64_t>(i), 0);
    predictions[static_cast<size_t>(i)] = to_unit(random.v[0]);
    labels[static_cast<size_t>(i)] = to_unit(random.v[1]) < 0.25f;
  }
  const auto comm = make_solo_comm();
  const Context ctx;
  for (const std::string_view name : {"AUC", "HitRate", "NDCG"}) {
    const auto metric = make_metric(ctx, name);
    const Seconds seconds = time_runs([&] {
      metric->reset();
      metric->update({.rows = kRows, .predictions = predictions, .labels = labels});
      metric->value(*comm);
    });
    row(name, seconds, 1e-6 * kRows, "Msample");
  }
}

}  // namespace ctr::bench
