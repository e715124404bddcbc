// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "kernels/kernel.h"
#include "optim/rules.h"

namespace ctr {

// Weights [begin, begin + to.numel()) as layers read them, in another type.
struct WeightCopy {
  int64_t begin;
  Tensor to;
};

// One step of the optimizer; ctx.step holds its number, learning rate and loss scale. weights [n], grads [n],
// states [state_count * n] (one state tensor after the other, the file's layout).
// The copies follow the weights.
extern Kernel<void(const Tensor& weights, const Tensor& grads, const Tensor& states,
                   const OptimizerSpec& spec, std::span<const WeightCopy> copies)>
    dense_update;

}  // namespace ctr
