// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/kernel.h"

namespace ctr {

// Columns of [batch, n]. Training normalises with the batch's mean and biased variance, keeps both as `mean`
// and `inv_std` [n] for backward and moves the running statistics by `factor`; evaluation uses the running
// statistics.
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
