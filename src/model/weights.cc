// SPDX-License-Identifier: Apache-2.0
#include "model/weights.h"

#include "device/memory.h"
#include "kernels/convert.h"

namespace ctr {

Weights::Weights(Context& ctx, const Graph& graph, DType compute, bool packed) : compute_(compute) {
  std::vector<std::vector<int>> value_handles, statistics_handles;
  for (const Node& node : graph.nodes) {
    auto& values = value_handles.emplace_back();
    for (const auto& w : node.shapes.weights) {
      values.push_back(values_.add(DType::f32, w.shape, packed));
      count_ += w.shape.numel();
    }
    auto& statistics = statistics_handles.emplace_back();
    for (const auto& s : node.shapes.states) statistics.push_back(statistics_.add(DType::f32, s.shape));
  }
  values_.allocate(ctx.device);
  statistics_.allocate(ctx.device);

  uint32_t tensor_index = 0;
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    auto& values = node_values_.emplace_back();
    auto& statistics = node_statistics_.emplace_back();
    for (const int handle : value_handles[i]) values.push_back(values_[handle]);
    for (const int handle : statistics_handles[i]) statistics.push_back(statistics_[handle]);
    initialize_node(ctx, graph.nodes[i].shapes, i, tensor_index);
  }
  bind_copies(graph, ctx.device);
  refresh(ctx);
}

// Calls copy(offset, n) for each weight of each array in `elements` of memory, without what is between them.
template <class Copy>
void Weights::for_each_array(int64_t elements, const Copy& copy) const {
  for (int64_t begin = 0; begin < elements; begin += memory().numel())
    for (const auto& weights_of_node : node_values_)
      for (const Tensor& w : weights_of_node) copy(begin + offset_of(w), w.numel());
}

std::vector<float> Weights::packed(const Context& ctx, const Tensor& memory) const {
  const std::vector<float> all = to_host(ctx, memory);
  std::vector<float> values;
  for_each_array(std::ssize(all), [&](int64_t offset, int64_t n) {
    values.insert(values.end(), all.begin() + offset, all.begin() + offset + n);
  });
  return values;
}

void Weights::unpack(const Context& ctx, const std::vector<float>& values, const Tensor& memory) const {
  std::vector<float> all = to_host(ctx, memory);
  auto from = values.begin();
  for_each_array(std::ssize(all), [&](int64_t offset, int64_t n) {
    std::copy_n(from, n, all.begin() + offset);
    from += n;
  });
  if (!all.empty()) copy_to_device(ctx, memory, all.data());
}

void Weights::bind_copies(const Graph& graph, Device device) {
  node_compute_values_ = node_values_;
  if (compute_ == DType::f32) return;
  std::vector<std::pair<size_t, size_t>> copied;  // node, weight
  for (size_t i = 0; i < graph.nodes.size(); ++i)
    for (size_t k = 0; k < graph.nodes[i].shapes.weights.size(); ++k) {
      const WeightDef& weight = graph.nodes[i].shapes.weights[k];
      if (!weight.in_compute_type) continue;
      compute_values_.add(compute_, weight.shape);
      copied.emplace_back(i, k);
    }
  compute_values_.allocate(device);
  for (size_t c = 0; c < copied.size(); ++c) {
    const auto [i, k] = copied[c];
    node_compute_values_[i][k] = compute_values_[static_cast<int>(c)];
    copies_.push_back({offset_of(node_values_[i][k]), node_compute_values_[i][k]});
  }
}

void Weights::refresh(Context& ctx) const {
  for (const WeightCopy& copy : copies_)
    convert(ctx, Tensor(DType::f32, copy.to.shape(), memory().data<float>() + copy.begin), copy.to);
}

void Weights::initialize_node(const Context& ctx, const LayerShapes& shapes, size_t node,
                              uint32_t& tensor_index) {
  std::vector<float> host;
  for (size_t k = 0; k < shapes.weights.size(); ++k) {
    const Tensor& to = node_values_[node][k];
    host.resize(static_cast<size_t>(to.numel()));
    initialize(shapes.weights[k].initializer, ctx.seed, tensor_index++,
               Tensor(DType::f32, to.shape(), host.data()));
    copy_to_device(ctx, to, host.data());
  }
  for (size_t k = 0; k < shapes.states.size(); ++k) {
    const Tensor& to = node_statistics_[node][k];
    host.assign(static_cast<size_t>(to.numel()), shapes.states[k].initial);
    copy_to_device(ctx, to, host.data());
  }
}

}  // namespace ctr
