// SPDX-License-Identifier: Apache-2.0
#include "model/labels.h"

#include <algorithm>
#include <cmath>

#include "base/log.h"
#include "base/vectorize.h"

namespace ctr {
namespace {

// Neither within [0, 1] nor, where that is allowed, missing. NaN is neither.
bool is_outside(float label, bool may_be_missing) {
  return !(label >= 0.0f && label <= 1.0f) && !(may_be_missing && label < -0.5f);
}

// The same of many, as every step asks it.
CTR_VECTORIZE bool any_outside(const float* labels, int64_t n, float missing_below) {
  uint32_t outside = 0;
  for (int64_t i = 0; i < n; ++i) {
    const uint32_t inside = (labels[i] >= 0.0f) & (labels[i] <= 1.0f);
    outside |= (inside | (labels[i] < missing_below)) ^ 1u;
  }
  return outside != 0;
}

CTR_VECTORIZE int64_t count_between(const float* labels, int64_t n) {
  int64_t count = 0;
  for (int64_t i = 0; i < n; ++i) count += (labels[i] > 0.0f) & (labels[i] < 1.0f);
  return count;
}

}  // namespace

LabelChecker::LabelChecker(const ModelSpec& spec, const Graph& graph)
    : width_(spec.input.label_dim()), warns_of_auc_(spec.solver.metrics.count("AUC") > 0) {
  int64_t first = 0;
  for (size_t l = 0; l < spec.input.labels.size(); ++l) {
    const Node& loss = graph.nodes[static_cast<size_t>(graph.losses[l])];
    columns_.push_back(
        {spec.input.labels[l].name, loss.def->name, first, spec.input.labels[l].dim, loss.def->labels});
    may_be_missing_ &= loss.def->labels.may_be_missing;
    first += spec.input.labels[l].dim;
  }
}

void LabelChecker::check_training(const Batch& batch, const std::string& source) {
  const float missing_below = may_be_missing_ ? -0.5f : -INFINITY;
  if (!any_outside(batch.labels.data(), batch.size * width_, missing_below)) return;
  for (Column& column : columns_) check_column(batch, source, column);
}

void LabelChecker::check_evaluation(const Batch& batch, const std::string& source) {
  check_training(batch, source);
  if (!warns_of_auc_) return;
  const int64_t n = batch.size * width_, between = count_between(batch.labels.data(), n);
  if (between == 0) return;
  warns_of_auc_ = false;
  const auto first = std::find_if(batch.labels.begin(), batch.labels.begin() + n,
                                  [](float label) { return label > 0 && label < 1; });
  log::warning(
      "\"{}\": {} of {} labels of a batch are between 0 and 1; AUC takes those above 0.5 as positive (the "
      "first, {}, is that of {})",
      source, between, n, *first, place_of(batch, (first - batch.labels.begin()) / width_));
}

void LabelChecker::check_column(const Batch& batch, const std::string& source, Column& column) const {
  int64_t outside = 0, first_row = 0;
  float example = 0;
  for (int64_t row = 0; row < batch.size; ++row)
    for (int64_t c = column.first; c < column.first + column.count; ++c) {
      const float label = batch.labels[static_cast<size_t>(row * width_ + c)];
      if (!is_outside(label, column.rule.may_be_missing)) continue;
      if (!column.rule.is_bounded || !std::isfinite(label))
        fail(ErrorKind::invalid_argument, "{}: label \"{}\" is {}; {} takes labels from 0 to 1{}",
             place_of(batch, row), column.name, label, column.loss,
             column.rule.may_be_missing ? ", or below -0.5 where there is none" : "");
      if (outside++ > 0) continue;
      first_row = row;
      example = label;
    }
  if (outside == 0 || std::exchange(column.warned, true)) return;
  log::warning(
      "\"{}\": {} of {} labels \"{}\" of a batch are outside of the 0 to 1 that {} takes; the first, {}, is "
      "that of {}",
      source, outside, batch.size * column.count, column.name, column.loss, example,
      place_of(batch, first_row));
}

}  // namespace ctr
