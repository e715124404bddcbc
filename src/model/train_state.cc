// SPDX-License-Identifier: Apache-2.0
#include "model/train_state.h"

#include "device/memory.h"

namespace ctr {

TrainState::TrainState(const Context& ctx, const Graph& graph, const Weights& weights,
                       const OptimizerSpec& optimizer)
    : weights_(weights),
      gradients_(ctx.device, weights.memory().bytes(), "dense gradients"),
      optimizer_states_(ctx.device,
                        weights.memory().bytes() * static_cast<size_t>(state_count(optimizer.type)),
                        "dense optimizer states") {
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    auto& gradients = node_gradients_.emplace_back();
    for (const Tensor& w : weights.values_of(i))
      gradients.emplace_back(DType::f32, w.shape(), this->gradients().data<float>() + weights.offset_of(w));
  }
  std::vector<float> initial;
  for (int s = 0; s < state_count(optimizer.type); ++s)
    initial.insert(initial.end(), static_cast<size_t>(weights.memory().numel()), initial_state(optimizer, s));
  if (!initial.empty()) copy_to_device(ctx, optimizer_states(), initial.data());
}

}  // namespace ctr
