// SPDX-License-Identifier: Apache-2.0
#include "model/dense_parameters.h"

#include "device/memory.h"
#include "kernels/convert.h"

namespace ctr {

DenseParameters::DenseParameters(Context& ctx, const Graph& graph, const OptimizerSpec& optimizer,
                                 DType compute)
    : compute_(compute) {
  // Between weights, an update without epsilon would divide zero by zero.
  const bool packed = optimizer.epsilon == 0;
  std::vector<std::vector<int>> weight_handles, state_handles;
  for (const Node& node : graph.nodes) {
    auto& weights = weight_handles.emplace_back();
    for (const auto& w : node.shapes.weights) {
      weights.push_back(weights_.add(DType::f32, w.shape, packed));
      gradients_.add(DType::f32, w.shape, packed);
      count_ += w.shape.numel();
    }
    auto& states = state_handles.emplace_back();
    for (const auto& s : node.shapes.states) states.push_back(states_.add(DType::f32, s.shape));
  }
  weights_.allocate(ctx.device);
  gradients_.allocate(ctx.device);
  states_.allocate(ctx.device);
  const int64_t memory = weights().numel();
  optimizer_states_.add(DType::f32, {state_count(optimizer.type) * memory});
  optimizer_states_.allocate(ctx.device);

  uint32_t tensor_index = 0;
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    auto& weights = node_weights_.emplace_back();
    auto& gradients = node_gradients_.emplace_back();
    auto& states = node_states_.emplace_back();
    for (const int handle : weight_handles[i]) {
      weights.push_back(weights_[handle]);
      gradients.push_back(gradients_[handle]);
    }
    for (const int handle : state_handles[i]) states.push_back(states_[handle]);
    initialize_node(ctx, graph.nodes[i].shapes, i, tensor_index);
  }
  std::vector<float> initial;
  for (int s = 0; s < state_count(optimizer.type); ++s)
    initial.insert(initial.end(), static_cast<size_t>(memory), initial_state(optimizer, s));
  if (!initial.empty()) copy_to_device(ctx, optimizer_states(), initial.data());
  bind_copies(graph, ctx.device);
  refresh(ctx);
}

// Of each array of weights or states in `memory`, without what is between them.
std::vector<float> DenseParameters::packed(const Context& ctx, const Tensor& memory) const {
  const std::vector<float> all = to_host(ctx, memory);
  const float* first = weights().data<float>();
  std::vector<float> values;
  for (int64_t begin = 0; begin < std::ssize(all); begin += weights().numel())
    for (const auto& weights_of_node : node_weights_)
      for (const Tensor& w : weights_of_node) {
        const auto from = all.begin() + begin + (w.data<float>() - first);
        values.insert(values.end(), from, from + w.numel());
      }
  return values;
}

void DenseParameters::unpack(const Context& ctx, const std::vector<float>& values,
                             const Tensor& memory) const {
  std::vector<float> all = to_host(ctx, memory);
  const float* first = weights().data<float>();
  auto from = values.begin();
  for (int64_t begin = 0; begin < std::ssize(all); begin += weights().numel())
    for (const auto& weights_of_node : node_weights_)
      for (const Tensor& w : weights_of_node) {
        std::copy_n(from, w.numel(), all.begin() + begin + (w.data<float>() - first));
        from += w.numel();
      }
  if (!all.empty()) copy_to_device(ctx, memory, all.data());
}

void DenseParameters::bind_copies(const Graph& graph, Device device) {
  node_compute_weights_ = node_weights_;
  if (compute_ == DType::f32) return;
  std::vector<std::pair<size_t, size_t>> copied;  // node, weight
  for (size_t i = 0; i < graph.nodes.size(); ++i)
    for (size_t k = 0; k < graph.nodes[i].shapes.weights.size(); ++k) {
      const WeightDef& weight = graph.nodes[i].shapes.weights[k];
      if (!weight.in_compute_type) continue;
      compute_weights_.add(compute_, weight.shape);
      copied.emplace_back(i, k);
    }
  compute_weights_.allocate(device);
  for (size_t c = 0; c < copied.size(); ++c) {
    const auto [i, k] = copied[c];
    node_compute_weights_[i][k] = compute_weights_[static_cast<int>(c)];
    copies_.push_back(
        {node_weights_[i][k].data<float>() - weights().data<float>(), node_compute_weights_[i][k]});
  }
}

void DenseParameters::refresh(Context& ctx) const {
  for (const WeightCopy& copy : copies_)
    convert(ctx, Tensor(DType::f32, copy.to.shape(), weights().data<float>() + copy.begin), copy.to);
}

void DenseParameters::initialize_node(const Context& ctx, const LayerShapes& shapes, size_t node,
                                      uint32_t& tensor_index) {
  std::vector<float> host;
  for (size_t k = 0; k < shapes.weights.size(); ++k) {
    const Tensor& to = node_weights_[node][k];
    host.resize(static_cast<size_t>(to.numel()));
    initialize(shapes.weights[k].initializer, ctx.seed, tensor_index++,
               Tensor(DType::f32, to.shape(), host.data()));
    copy_to_device(ctx, to, host.data());
  }
  for (size_t k = 0; k < shapes.states.size(); ++k) {
    const Tensor& to = node_states_[node][k];
    host.assign(static_cast<size_t>(to.numel()), shapes.states[k].initial);
    copy_to_device(ctx, to, host.data());
  }
}

}  // namespace ctr
