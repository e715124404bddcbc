// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "comm/comm.h"

namespace ctr {

// What one evaluation batch gives on one rank (host memory, valid rows only).
struct MetricInput {
  int64_t rows = 0;
  int64_t columns = 1;                 // labels per sample
  std::span<const float> predictions;  // [rows, columns], probabilities
  std::span<const float> labels;       // [rows, columns]
  double loss = 0;                     // mean over the rows of this rank
};

inline bool is_positive(float label) { return label > 0.5f; }

// Accumulates over evaluation batches on one rank; value() combines all ranks and is the same on each.
class Metric {
 public:
  virtual ~Metric() = default;
  virtual void update(const MetricInput& batch) = 0;
  virtual double value(Comm& comm) = 0;
  virtual void reset() = 0;
};

struct MetricDef {
  std::string name;  // as in MetricsType, and as printed
  std::string doc;
  std::unique_ptr<Metric> (*create)();
};

const std::vector<MetricDef>& metric_catalog();  // in reporting order
std::unique_ptr<Metric> make_metric(std::string_view name);

}  // namespace ctr
