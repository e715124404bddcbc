// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "model/spec.h"

namespace ctr {

// The model as it is executed: InnerProduct followed only by ReLU becomes one fused layer. Weights, their
// order and results stay the same; what the user wrote stays what summary() and graph files show.
ModelSpec fuse(ModelSpec spec);

}  // namespace ctr
