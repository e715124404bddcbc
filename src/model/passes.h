// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "model/spec.h"

namespace ctr {

// The model as it is executed: InnerProduct followed only by ReLU becomes one fused layer; an InnerProduct
// with one output reads the parts of a Concat in front of it. Weights and their order stay the same, and
// results up to the order of sums; what the user wrote stays what summary() and graph files show.
ModelSpec fuse(ModelSpec spec);

}  // namespace ctr
