// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/dtype.h"
#include "device/device.h"
#include "model/spec.h"

namespace ctr {

// Storage type of activations: f32, or with mixed precision f16 on a GPU and bf16 on a CPU whose instructions
// make it faster. Other CPUs stay with f32. Says what was chosen.
DType compute_type(const SolverSpec& solver, Device device);

}  // namespace ctr
