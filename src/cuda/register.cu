// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "build_name.h"
#include "layers/list.h"

// The table of contents of the CUDA back end: one line for each .cu file that fills slots, and the layers'.
// The file adds `void register_<name>_cuda()`, which sets them.
#define CUDA_PARTS(X) \
  X(device)           \
  X(columns)          \
  X(convert)          \
  X(elementwise)      \
  X(gemm)             \
  X(reduce)           \
  X(low_rank_cross)   \
  X(rows)             \
  X(softmax)          \
  X(metrics)          \
  X(gauc)             \
  X(dense_update)     \
  X(embedding)        \
  X(finite_watch)     \
  X(regularizer)

namespace ctr {

#define DECLARE(part) void register_##part##_cuda();
#define DECLARE_LAYER(layer, kernels) void register_##kernels##_cuda();
CUDA_PARTS(DECLARE)
CTR_LAYERS(DECLARE_LAYER)

void register_none_cuda() {}

}  // namespace ctr

// What whoever loads this library (device/plugin.cc) asks for: its build, the oldest GPU it has code for
// (compute capability times ten), and, once, its registration.
extern "C" {
extern const char hugectr_build[];
extern const int hugectr_oldest_gpu;
const char hugectr_build[] = CTR_BUILD;
const int hugectr_oldest_gpu = std::min({__CUDA_ARCH_LIST__}) / 10;

void hugectr_register() {
#define REGISTER(part) ctr::register_##part##_cuda();
#define REGISTER_LAYER(layer, kernels) ctr::register_##kernels##_cuda();
  CUDA_PARTS(REGISTER)
  CTR_LAYERS(REGISTER_LAYER)
}
}
