// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/dtype.h"
#include "device/device.h"
#include "model/spec.h"

namespace ctr {

// Throws out_of_memory, naming the largest tensors, when the ranks of a model on `devices` need more memory
// than there is. Nothing has been allocated then. Embedding rows that a CPU takes as keys come do not count,
// but their address space has to be granted; what would be is said. Returns whether the workspaces have to
// pay for optimizer states, so that there is memory for all, which the spec then says of each embedding.
bool fit_memory(ModelSpec& spec, const std::vector<Device>& devices, DType compute);

}  // namespace ctr
