// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/kernel.h"
#include "optim/rules.h"

namespace ctr {

// weights [n], grads [n], states [state_count * n] (one state tensor after the other, the file's layout).
extern Kernel<void(const Tensor& weights, const Tensor& grads, const Tensor& states,
                   const OptimizerSpec& spec, int64_t step)>
    dense_update;

}  // namespace ctr
