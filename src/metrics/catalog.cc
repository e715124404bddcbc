// SPDX-License-Identifier: Apache-2.0
#include "metrics/catalog.h"

namespace ctr {

namespace {

std::vector<MetricDef>& catalog() {
  static std::vector<MetricDef> catalog = {
      {"AUC", "Exact area under the ROC curve; the mean over columns for several labels.", {make_auc}},
      {"AverageLoss", "Mean loss over the evaluated samples.", {make_average_loss, make_average_loss}},
      {"HitRate", "Share of positives among the predictions above 0.8.", {make_hit_rate}},
      {"NDCG", "Normalized discounted cumulative gain of one ranking of all samples.", {make_ndcg}},
      {"SMAPE", "Symmetric mean absolute percentage error, as a fraction.", {make_smape}},
      {"LogLoss", "Mean logarithmic loss of the predicted probabilities.", {make_log_loss}},
      {"NormalizedEntropy",
       "LogLoss over that of always predicting the share of positives; the mean over columns for several "
       "labels.",
       {make_normalized_entropy}},
      {"Calibration", "Sum of the predictions over the sum of the labels.", {make_calibration}},
      {"GAUC",
       "Mean AUC of the groups that have both classes, each counted by its samples; the mean over columns "
       "for "
       "several labels.",
       {make_gauc}},
  };
  return catalog;
}

MetricDef& find_metric(std::string_view name) {
  std::vector<std::string> names;
  for (MetricDef& def : catalog()) {
    if (def.name == name) return def;
    names.push_back(def.name);
  }
  fail_unknown("metric", name, names);
}

}  // namespace

const std::vector<MetricDef>& metric_catalog() { return catalog(); }

std::unique_ptr<Metric> make_metric(const Context& ctx, std::string_view name) {
  const MetricMaker create = find_metric(name).create[static_cast<int>(ctx.device.backend)];
  if (!create) fail(ErrorKind::unsupported, "metric {} has no kernel for this device", name);
  return create(ctx);
}

void register_metric(Backend backend, std::string_view name, MetricMaker create) {
  find_metric(name).create[static_cast<int>(backend)] = create;
}

}  // namespace ctr
