// SPDX-License-Identifier: Apache-2.0
#include "metrics/catalog.h"

namespace ctr {

const std::vector<MetricDef>& metric_catalog() {
  static const std::vector<MetricDef> catalog = {
      {"AUC", "Exact area under the ROC curve; the mean over columns for several labels.", make_auc},
      {"AverageLoss", "Mean loss over the evaluated samples.", make_average_loss},
      {"HitRate", "Share of positives among the predictions above 0.8.", make_hit_rate},
      {"NDCG", "Normalized discounted cumulative gain of one ranking of all samples.", make_ndcg},
      {"SMAPE", "Symmetric mean absolute percentage error, as a fraction.", make_smape},
  };
  return catalog;
}

std::unique_ptr<Metric> make_metric(std::string_view name) {
  std::vector<std::string> names;
  for (const MetricDef& def : metric_catalog()) {
    if (def.name == name) return def.create();
    names.push_back(def.name);
  }
  fail_unknown("metric", name, names);
}

}  // namespace ctr
