// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/random.h"
#include "kernels/kernel.h"

namespace ctr {

// Rows that belong to valid samples: a prefix of a tensor with `total` rows, a whole number of them a sample.
struct ValidRows {
  int64_t total, rows, batch;

  CTR_HOST_DEVICE static ValidRows of(const StepState& step, int64_t total) {
    return step.batch > 0 ? ValidRows{total, step.rows, step.batch} : ValidRows{total, 1, 1};
  }
  CTR_HOST_DEVICE bool has(int64_t row) const { return row * batch < rows * total; }
  CTR_HOST_DEVICE int64_t count() const { return (rows * total + batch - 1) / batch; }
};

// Columns of [batch, n]. Training normalises with the mean and biased variance of the valid rows, keeps both
// as `mean` and `inv_std` [n] for backward and moves the running statistics by `factor`; where there is no
// valid row they stay. Other rows are zeros: what follows must not overflow where nobody looks. Evaluation
// uses the running statistics.
struct BatchNormBuffers {
  Tensor gamma, beta, running_mean, running_var, mean, inv_std;
};
extern Kernel<void(const Tensor& x, const Tensor& y, const BatchNormBuffers& b, float eps, float factor)>
    batch_norm_training;
extern Kernel<void(const Tensor& x, const Tensor& y, const BatchNormBuffers& b, float eps)>
    batch_norm_evaluation;
// d_x may be null.
extern Kernel<void(const Tensor& x, const Tensor& d_y, const BatchNormBuffers& b, const Tensor& d_x,
                   bool accumulate, const Tensor& d_gamma, const Tensor& d_beta)>
    batch_norm_backward;

}  // namespace ctr
