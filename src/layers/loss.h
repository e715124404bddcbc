// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "base/random.h"
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
CTR_HOST_DEVICE inline LossScale loss_scale(const StepState& step, int64_t batch, float weight) {
  const int64_t rows = step.rows < 0 ? 0 : step.rows < batch ? step.rows : batch;
  return {rows, weight / static_cast<float>(rows > 1 ? rows : 1),
          weight * step.loss_scale / static_cast<float>(step.global_rows > 1 ? step.global_rows : 1)};
}

}  // namespace ctr
