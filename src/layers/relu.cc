// SPDX-License-Identifier: Apache-2.0
#include "layers/relu.h"

namespace ctr {

constinit Pointwise<ReluMath> relu_kernels{"ReLU.forward", "ReLU.backward"};

LayerDef relu_layer() {
  return {.name = "ReLU", .aliases = {"ReLUHalf"}, .doc = "y = max(x, 0)", .create = [](const Params&) {
            return make_pointwise(relu_kernels, ReluMath());
          }};
}

}  // namespace ctr
