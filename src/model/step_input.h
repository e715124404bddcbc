// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <vector>

#include "data/batch.h"
#include "model/forward.h"
#include "model/spec.h"

namespace ctr {

// About as many bytes as a step copies to each device.
size_t step_bytes(const ModelSpec& spec);

// What a step finds on the device of a rank: its state, and this rank's part of a batch.
class StepInput {
 public:
  // From now on kernels read the state through ctx.step.
  StepInput(Context& ctx, const ModelSpec& spec);

  StepState state;  // as kernels see it once load() has copied it

  // The keys of each embedding.
  std::span<const CsrKeys* const> keys(const Batch& batch);
  // Copies the state, labels and dense values; of the latter those that a network stores otherwise than they
  // come are converted by unpack(), which may be recorded in a step. `samples` of each rank are loaded.
  void load(const Context& ctx, const Batch& batch, const Forward& network);
  void unpack(Context& ctx, const Forward& network) const;

 private:
  Tensor staging_of(const Tensor& dense) const { return {DType::f32, dense.shape(), dense_staging_.data()}; }
  void load_dense(const Context& ctx, const Batch& batch, const Forward& network);
  void load_labels(const Context& ctx, const Batch& batch, const Forward& network);

  const InputSpec spec_;
  Buffer device_state_, dense_staging_;
  int64_t max_samples_;
  std::vector<size_t> sparse_of_embedding_;
  std::vector<const CsrKeys*> keys_;
  std::vector<float> label_staging_;
};

}  // namespace ctr
