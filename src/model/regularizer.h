// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "device/arena.h"
#include "kernels/kernel.h"
#include "model/graph.h"

namespace ctr {

// L1: R = (lambda / n) sum |w|.  L2: R = (lambda / 2n) sum w^2.  n: rows of the whole batch; w: every dense
// weight.
struct RegularizerTerm {
  bool l2 = false;
  float lambda = 0;
};

// value [1]
extern Kernel<void(const Tensor& weights, const Tensor& value, RegularizerTerm, int64_t n)> regularizer_value;
// gradient += loss scale * dR / dw, with sign(0) = 0
extern Kernel<void(const Tensor& weights, const Tensor& gradient, RegularizerTerm, int64_t n)>
    regularizer_gradient;

// The terms of a network's labels, and their values.
class Regularizers {
 public:
  // `rows`: of the whole batch.
  Regularizers(const Context& ctx, const Graph& graph, int64_t rows);

  void compute(Context& ctx, const Tensor& weights) const;
  void add_gradients(Context& ctx, const Tensor& weights, const Tensor& gradients) const;
  size_t labels() const { return terms_.size(); }
  Tensor value(size_t label) const { return values_[static_cast<int>(label)]; }  // [1], of the last compute()

 private:
  std::vector<RegularizerTerm> terms_;  // one per label, lambda 0 where the label's loss has none
  int64_t rows_;
  Arena values_{"regularizers"};
};

}  // namespace ctr
