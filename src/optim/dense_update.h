// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/kernel.h"
#include "optim/rules.h"

namespace ctr {

// One step of the optimizer; ctx.step holds its number, learning rate and loss scale. weights [n], grads [n],
// states [state_count * n] (one state tensor after the other, the file's layout).
extern Kernel<void(const Tensor& weights, const Tensor& grads, const Tensor& states,
                   const OptimizerSpec& spec)>
    dense_update;

}  // namespace ctr
