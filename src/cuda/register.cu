// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "build_name.h"

// The table of contents of the CUDA back end: one line for each .cu file that fills slots. The file adds
// `void register_<name>_cuda()`, which sets them.
#define CUDA_PARTS(X)     \
  X(device)               \
  X(columns)              \
  X(convert)              \
  X(elementwise)          \
  X(gemm)                 \
  X(reduce)               \
  X(add)                  \
  X(batch_norm)           \
  X(dropout)              \
  X(elementwise_multiply) \
  X(elu)                  \
  X(fm_order2)            \
  X(inner_product)        \
  X(interaction)          \
  X(multi_cross)          \
  X(relu)                 \
  X(sigmoid)              \
  X(sigmoid_loss)         \
  X(softmax_loss)         \
  X(sub)                  \
  X(weight_multiply)      \
  X(metrics)              \
  X(dense_update)         \
  X(embedding)            \
  X(finite_watch)         \
  X(regularizer)

namespace ctr {

#define DECLARE(part) void register_##part##_cuda();
CUDA_PARTS(DECLARE)

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
  CUDA_PARTS(REGISTER)
}
}
