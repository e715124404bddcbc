// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "layers/interaction.h"

namespace ctr::cuda {

// Interaction of 16-bit tensors on the tensor cores. False, and nothing done, where the sizes do not fit
// them.
bool interaction_mma_forward(const Context& ctx, const Tensor& m, const Tensor& f, const Tensor& y);
bool interaction_mma_backward(const Context& ctx, const Tensor& m, const Tensor& f, const Tensor& d_y,
                              const InteractionGradient& out);

}  // namespace ctr::cuda
