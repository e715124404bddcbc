// SPDX-License-Identifier: Apache-2.0
#include "model/dense_parameters.h"

#include <algorithm>

namespace ctr {

DenseParameters::DenseParameters(const Graph& graph, Device device, const OptimizerSpec& optimizer,
                                 uint64_t seed) {
  std::vector<std::vector<int>> weight_handles, state_handles;
  for (const Node& node : graph.nodes) {
    auto& weights = weight_handles.emplace_back();
    for (const auto& w : node.shapes.weights) {
      weights.push_back(weights_.add(DType::f32, w.shape, true));
      gradients_.add(DType::f32, w.shape, true);
    }
    auto& states = state_handles.emplace_back();
    for (const auto& s : node.shapes.states) states.push_back(states_.add(DType::f32, s.shape));
  }
  weights_.allocate(device);
  gradients_.allocate(device);
  states_.allocate(device);
  optimizer_states_.add(DType::f32, {state_count(optimizer.type) * count()});
  optimizer_states_.allocate(device);

  uint32_t tensor_index = 0;
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const LayerShapes& shapes = graph.nodes[i].shapes;
    auto& weights = node_weights_.emplace_back();
    auto& gradients = node_gradients_.emplace_back();
    for (size_t k = 0; k < shapes.weights.size(); ++k) {
      weights.push_back(weights_[weight_handles[i][k]]);
      gradients.push_back(gradients_[weight_handles[i][k]]);
      initialize(shapes.weights[k].initializer, seed, tensor_index++, weights.back());
    }
    auto& states = node_states_.emplace_back();
    for (size_t k = 0; k < shapes.states.size(); ++k) {
      states.push_back(states_[state_handles[i][k]]);
      std::fill_n(states.back().data<float>(), states.back().numel(), shapes.states[k].initial);
    }
  }
  reset_optimizer(optimizer);
}

void DenseParameters::reset_optimizer(const OptimizerSpec& optimizer) {
  float* states = optimizer_states().data<float>();
  for (int s = 0; s < state_count(optimizer.type); ++s)
    std::fill_n(states + s * count(), count(), initial_state(optimizer, s));
}

}  // namespace ctr
