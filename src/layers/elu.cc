// SPDX-License-Identifier: Apache-2.0
#include "layers/elu.h"

namespace ctr {

constinit Pointwise<EluMath> elu_kernels{"ELU.forward", "ELU.backward"};

LayerDef elu_layer() {
  return {
      .name = "ELU",
      .doc = "y = x where x >= 0, else alpha (exp(x) - 1)",
      .params = {{"elu_alpha", "elu_param.alpha", 1.0, JsonRule::always, "scale of the negative part"}},
      .create = [](const Params& p) { return make_pointwise(elu_kernels, EluMath{p.real("elu_alpha")}); }};
}

}  // namespace ctr
