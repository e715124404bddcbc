// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "device/device.h"

namespace ctr {

// What changes from step to step. Lives in device memory, so that a captured step can be replayed: kernels
// read it through Context::step, never by value.
struct StepState {
  int64_t step = 0;        // training steps done before this one; drives dropout
  int64_t dense_step = 0;  // updates of the dense weights, this step's included
  float learning_rate = 0;
  float loss_scale = 1;
  int64_t global_rows = 0;   // valid samples of the whole batch
  int64_t rows = 0;          // valid samples of this rank's part
  int64_t first_sample = 0;  // index of this rank's first sample within the whole batch
  int64_t batch = 0;         // samples that this rank's tensors have room for; 0: all rows are valid
};

// First argument of every operation: where it runs and what it may use there. One per rank.
struct Context {
  Device device;
  int threads = 1;         // CPU team size of one operation
  void* stream = nullptr;  // device/stream.h; null on a CPU, where operations run in program order
  uint64_t seed = 0;
  int rank = 0;
  int world_size = 1;
  bool tf32 = false;  // f32 products may round their factors to 10 bits
  const StepState* step = nullptr;
};

}  // namespace ctr
