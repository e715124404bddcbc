// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <vector>

#include "metrics/metric.h"
#include "model/regularizer.h"
#include "model/sample_groups.h"
#include "model/trainer.h"

namespace ctr {

// Runs the weights and embedding rows of one rank forward alone: predictions, and metrics of them.
class Evaluator {
 public:
  Evaluator(const ModelSpec& spec, const RankParts& parts);

  // Gets ready for batches of any size, so that none of them is met for the first time later.
  void prepare();
  // Finds embedding rows; must succeed on all ranks before predict() or evaluate(). As little is computed as
  // the batch has samples.
  void stage(const Batch& batch);
  void predict(const Batch& batch);
  void evaluate(const Batch& batch);  // predict, then metrics

  double metric_value(size_t metric, size_t label) { return metrics_[metric][label]->value(parts_.comm); }
  void reset_metrics();

  // Valid rows of the last batch, each with the columns of all labels side by side.
  void append_predictions(std::vector<float>& to) const;
  void append_labels(std::vector<float>& to) const;

 private:
  bool add_size(int64_t samples);
  void choose_size(int64_t samples);
  double label_loss(size_t label) const;

  ModelSpec spec_;
  RankParts parts_;
  Forward forward_;
  Regularizers regularizers_;
  std::vector<std::vector<std::unique_ptr<Metric>>> metrics_;  // [metric][label]
  SampleGroups groups_;
  std::vector<int64_t> sizes_;   // of this rank's part of a batch
  std::vector<Tensor> outputs_;  // of embeddings
  int64_t rows_ = 0;             // of the last batch
};

}  // namespace ctr
