// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <limits>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "comm/comm.h"

namespace ctr {

// What one evaluation batch gives on one rank: valid rows only, in the memory of the metric's device.
struct MetricInput {
  int64_t rows = 0;
  int64_t columns = 1;                   // labels per sample
  std::span<const float> predictions;    // [rows, columns], probabilities
  std::span<const float> labels;         // [rows, columns]
  double loss = 0;                       // mean over the rows of this rank
  std::span<const int64_t> groups = {};  // [rows], in host memory, where a metric is one of groups
};

inline constexpr int64_t kNoGroup = std::numeric_limits<int64_t>::min();

CTR_HOST_DEVICE inline bool is_positive(float label) { return label > 0.5f; }
// The sample has no label in this column: no metric counts it.
CTR_HOST_DEVICE inline bool is_missing(float label) { return label < -0.5f; }

// Accumulates over evaluation batches on one rank; value() combines all ranks and is the same on each.
class Metric {
 public:
  virtual ~Metric() = default;
  virtual void update(const MetricInput& batch) = 0;
  virtual double value(Comm& comm) = 0;
  virtual void reset() = 0;
};

using MetricMaker = std::unique_ptr<Metric> (*)(const Context&);

struct MetricDef {
  std::string name;  // as in MetricsType, and as printed
  std::string doc;
  MetricMaker create[kNumBackends];  // null where a back end has none
};

const std::vector<MetricDef>& metric_catalog();  // in reporting order
// On ctx.device; ctx must outlive it.
std::unique_ptr<Metric> make_metric(const Context& ctx, std::string_view name);
void register_metric(Backend backend, std::string_view name, MetricMaker create);

}  // namespace ctr
