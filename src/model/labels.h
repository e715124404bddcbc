// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "data/batch.h"
#include "model/graph.h"

namespace ctr {

// Looks at the labels of a batch before anything is made of them: losses and metrics of others than those
// that a loss takes are numbers without a meaning.
class LabelChecker {
 public:
  LabelChecker(const ModelSpec& spec, const Graph& graph);

  // Throws invalid_argument where the loss would be unbounded or not finite; warns once a label where it only
  // makes no sense. `source` is where the batch comes from.
  void check_training(const Batch& batch, const std::string& source);
  // The same, and warns once where AUC has to decide what is positive.
  void check_evaluation(const Batch& batch, const std::string& source);

 private:
  struct Column {
    std::string name, loss;
    int64_t first, count;  // among the columns of all labels
    LabelRule rule;
    bool warned = false;
  };
  void check_column(const Batch& batch, const std::string& source, Column& column) const;

  std::vector<Column> columns_;
  int64_t width_ = 0;
  bool may_be_missing_ = true;  // in every column
  bool warns_of_auc_;
};

}  // namespace ctr
