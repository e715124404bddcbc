// SPDX-License-Identifier: Apache-2.0
#include "model/step_input.h"

#include <algorithm>

#include "device/memory.h"
#include "kernels/convert.h"

namespace ctr {
namespace {

// The dense input takes a detour where it is not stored as it comes.
bool stages_dense(const Forward& network) {
  const int dense = network.graph().dense;
  if (dense < 0) return false;
  const Tensor to = network.value(dense);
  return to.dtype() != DType::f32 || !to.is_packed();
}

}  // namespace

size_t step_bytes(const ModelSpec& spec) {
  const auto largest = static_cast<double>(std::max(spec.solver.batch_size, spec.solver.batch_size_eval));
  auto sample =
      static_cast<double>(sizeof(float)) * static_cast<double>(spec.input.label_dim() + spec.input.dense_dim);
  for (const SparseInputSpec& sparse : spec.input.sparse) {
    sample += static_cast<double>(sizeof(uint32_t)) * static_cast<double>(sparse.slots());  // offsets
    int64_t keys = 0;
    for (const int64_t nnz : sparse.nnz_per_slot) keys += nnz;
    sample += static_cast<double>(sizeof(int64_t)) * static_cast<double>(std::max(keys, sparse.max_keys));
  }
  constexpr double kMost = double{1 << 30};
  return static_cast<size_t>(std::min(kMost, largest * sample));
}

StepInput::StepInput(Context& ctx, const ModelSpec& spec)
    : spec_(spec.input),
      device_state_(ctx.device, sizeof(StepState), "step state"),
      max_samples_(std::max(spec.solver.batch_size, spec.solver.batch_size_eval) / ctx.world_size),
      keys_(spec.embeddings.size()) {
  ctx.step = reinterpret_cast<const StepState*>(device_state_.data());
  state.loss_scale = spec.solver.use_mixed_precision ? spec.solver.scaler : 1.0f;
  for (const auto& e : spec.embeddings)
    for (size_t i = 0; i < spec.input.sparse.size(); ++i)
      if (spec.input.sparse[i].name == e.bottom) sparse_of_embedding_.push_back(i);
}

std::span<const CsrKeys* const> StepInput::keys(const Batch& batch) {
  for (size_t e = 0; e < keys_.size(); ++e) keys_[e] = &batch.sparse[sparse_of_embedding_[e]];
  return keys_;
}

void StepInput::load(const Context& ctx, const Batch& batch, const Forward& network) {
  const int64_t samples = network.samples();
  state.batch = samples;
  state.first_sample = ctx.rank * samples;
  state.global_rows = batch.size;
  state.rows = std::clamp<int64_t>(batch.size - state.first_sample, 0, samples);
  load_labels(ctx, batch, network);
  load_dense(ctx, batch, network);
  memory_backend(ctx.device).copy_to_device(ctx, device_state_.data(), &state, sizeof(state));
}

void StepInput::load_dense(const Context& ctx, const Batch& batch, const Forward& network) {
  const int dense = network.graph().dense;
  if (dense < 0) return;
  if (stages_dense(network) && !dense_staging_.data())
    dense_staging_ = Buffer(ctx.device, sizeof(float) * static_cast<size_t>(spec_.dense_dim * max_samples_),
                            "dense input");
  const Tensor to = network.value(dense);
  const float* from = batch.dense.data() + state.first_sample * spec_.dense_dim;
  copy_to_device(ctx, stages_dense(network) ? staging_of(to) : to, from);
}

// Each label is a range of columns of the batch's label rows.
void StepInput::load_labels(const Context& ctx, const Batch& batch, const Forward& network) {
  const int64_t width = spec_.label_dim();
  int64_t column = 0;
  for (const int label : network.graph().labels) {
    const Tensor to = network.value(label);
    const int64_t rows = to.shape()[0], columns = to.shape()[1];
    const float* from = batch.labels.data() + state.first_sample * width + column;
    if (columns != width) {
      label_staging_.resize(static_cast<size_t>(rows * columns));
      for (int64_t r = 0; r < rows; ++r)
        std::copy_n(from + r * width, columns, label_staging_.data() + r * columns);
      from = label_staging_.data();
    }
    copy_to_device(ctx, to, from);
    column += columns;
  }
}

void StepInput::unpack(Context& ctx, const Forward& network) const {
  if (!stages_dense(network)) return;
  const Tensor dense = network.value(network.graph().dense);
  convert(ctx, staging_of(dense), dense);
}

}  // namespace ctr
