// SPDX-License-Identifier: Apache-2.0
#include "layers/sigmoid.h"

namespace ctr {

constinit Pointwise<SigmoidMath> sigmoid_kernels{"Sigmoid.forward", "Sigmoid.backward"};

LayerDef sigmoid_layer() {
  return {.name = "Sigmoid",
          .aliases = {"SigmoidHalf"},
          .doc = "y = 1 / (1 + exp(-x))",
          .create = [](const Params&) { return make_pointwise(sigmoid_kernels, SigmoidMath()); }};
}

}  // namespace ctr
