// SPDX-License-Identifier: Apache-2.0
// The table of contents of the CUDA back end: one line for each .cu file that fills slots.
#define CUDA_PARTS(X) \
  X(device)

namespace ctr {

#define DECLARE(part) void register_##part##_cuda();
CUDA_PARTS(DECLARE)

}  // namespace ctr

// Called once by whoever loads this library (device/plugin.h).
extern "C" void hugectr_register() {
#define REGISTER(part) ctr::register_##part##_cuda();
  CUDA_PARTS(REGISTER)
}
