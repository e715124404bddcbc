// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "layers/layer.h"

namespace ctr {

// A layer that does nothing but move columns: infer() says which (LayerShapes::moves).
class Mover : public Layer {
 public:
  void forward(Context& ctx, const LayerRun& run) const final;
  void backward(Context& ctx, const LayerRun& run) const final;
};

}  // namespace ctr
