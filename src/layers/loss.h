// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "device/context.h"
#include "layers/layer.h"

namespace ctr {

// Keywords that all losses share. The regularizer is applied by whoever owns the weights; a loss only carries
// it.
std::vector<ParamDef> loss_params();

// What the current step asks of a loss layer over `batch` samples with label weight `weight`.
struct LossScale {
  int64_t rows;    // valid samples: later ones have neither value nor gradient
  float value;     // of a sample's loss in the mean
  float gradient;  // of a sample's loss in the gradient: weight x loss scale / global rows
};
LossScale loss_scale(const Context& ctx, int64_t batch, float weight);

}  // namespace ctr
