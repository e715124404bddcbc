// SPDX-License-Identifier: Apache-2.0
#include "layers/loss.h"

namespace ctr {

std::vector<ParamDef> loss_params() {
  return {{"use_regularizer", "regularizer", false, JsonRule::presence, "add a penalty on all dense weights"},
          {.keyword = "regularizer_type",
           .json_path = "regularizer",
           .initial = std::string("L1"),
           .doc = "L1 or L2",
           .choices = {"L1", "L2"},
           .gate = "use_regularizer"},
          {.keyword = "lambda",
           .json_path = "lambda",
           .initial = 0.0,
           .doc = "strength of the penalty",
           .min = 0,
           .gate = "use_regularizer"},
          {"loss_weight", "", 1.0, JsonRule::never, "weight of this loss in the objective"}};
}

}  // namespace ctr
