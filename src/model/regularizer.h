// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "kernels/kernel.h"
#include "model/graph.h"

namespace ctr {

// L1: R = (lambda / n) sum |w|.  L2: R = (lambda / 2n) sum w^2.  n: rows of the whole batch; w: every dense
// weight.
struct RegularizerTerm {
  bool l2 = false;
  float lambda = 0;
};

// One term per label, lambda 0 where the label's loss has none.
std::vector<RegularizerTerm> regularizers_of(const Graph& graph);

// value [1]
extern Kernel<void(const Tensor& weights, const Tensor& value, RegularizerTerm, int64_t n)> regularizer_value;
// gradient += loss scale * dR / dw, with sign(0) = 0
extern Kernel<void(const Tensor& weights, const Tensor& gradient, RegularizerTerm, int64_t n)>
    regularizer_gradient;

}  // namespace ctr
