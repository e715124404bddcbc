// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "device/device.h"

namespace ctr {

// The back end that models run on: CUDA where a driver finds a GPU and libhugectr_cuda.so, of the same build
// and not too new for it, is there to use it, else the CPU. HUGECTR_DEVICE=cpu or cuda decides instead;
// "cuda" throws where there is none. Loads the plug-in at the first call. Throws in a process forked from one
// that uses a GPU.
Backend default_backend();

}  // namespace ctr
