// SPDX-License-Identifier: Apache-2.0
#include "model/plan.h"

#include <algorithm>

namespace ctr {
namespace {

size_t storage(const Graph& graph, int value) {
  return static_cast<size_t>(graph.values[static_cast<size_t>(value)].storage);
}

void place_values(const Graph& graph, DType compute, Plan& plan) {
  std::vector<int> handle(graph.values.size(), -1);
  for (size_t v = 0; v < graph.values.size(); ++v)
    if (graph.values[v].storage == static_cast<int>(v))
      handle[v] = plan.values.add(storage_type(graph.values[v], compute), graph.values[v].shape);
  for (size_t v = 0; v < graph.values.size(); ++v)
    plan.value_handle.push_back(handle[storage(graph, static_cast<int>(v))]);
}

void place_buffers(const Graph& graph, DType compute, Plan& plan) {
  constexpr size_t kLine = 64;
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    size_t offset = 0;
    for (const auto& b : graph.nodes[i].shapes.scratch) {
      plan.nodes[i].scratch.push_back(offset);
      offset += (static_cast<size_t>(b.shape.numel()) * size_of(storage_type(b, compute)) + kLine - 1) /
                kLine * kLine;
    }
    plan.scratch_bytes = std::max(plan.scratch_bytes, offset);
    for (const auto& b : graph.nodes[i].shapes.saved)
      plan.nodes[i].saved.push_back(plan.saved.add(storage_type(b, compute), b.shape));
  }
}

// Walks the layers backwards: the first consumer to run writes a gradient, later ones add to it.
void place_gradients(const Graph& graph, DType compute, Plan& plan) {
  std::vector<bool> written(graph.values.size(), false);
  auto zero_if_unwritten = [&](int value) {
    const size_t s = storage(graph, value);
    if (!written[s]) plan.zeroed_gradients.push_back(static_cast<int>(s));
    written[s] = true;
  };
  for (size_t i = graph.nodes.size(); i-- > 0;) {
    const Node& node = graph.nodes[i];
    if (!node.runs()) continue;
    auto arrives = [&](int v) {
      return graph.values[static_cast<size_t>(v)].needs_grad && written[storage(graph, v)];
    };
    NodePlan& np = plan.nodes[i];
    np.backward = node.def->is_loss || std::any_of(node.outputs.begin(), node.outputs.end(), arrives);
    if (!np.backward) continue;
    if (!node.def->is_loss)
      for (const int v : node.outputs) zero_if_unwritten(v);
    for (const int v : node.inputs) {
      const size_t s = storage(graph, v);
      const bool wanted = graph.values[static_cast<size_t>(v)].needs_grad;
      np.d_x_mode.push_back(!wanted      ? GradMode::skip
                            : written[s] ? GradMode::accumulate
                                         : GradMode::overwrite);
      if (wanted) written[s] = true;
    }
  }
  for (const int v : graph.embeddings) zero_if_unwritten(v);

  std::vector<int> handle(graph.values.size(), -1);
  for (size_t v = 0; v < graph.values.size(); ++v)
    if (written[v])
      handle[v] = plan.gradients.add(storage_type(graph.values[v], compute), graph.values[v].shape);
  for (size_t v = 0; v < graph.values.size(); ++v)
    plan.gradient_handle.push_back(handle[storage(graph, static_cast<int>(v))]);
}

}  // namespace

DType storage_type(const Value& value, DType compute) { return value.is_f32 ? DType::f32 : compute; }
DType storage_type(const BufferDef& buffer, DType compute) {
  return buffer.in_compute_type ? compute : buffer.dtype;
}

Plan make_plan(const Graph& graph, DType compute, bool training) {
  Plan plan;
  plan.nodes.resize(graph.nodes.size());
  place_values(graph, compute, plan);
  place_buffers(graph, compute, plan);
  if (training)
    place_gradients(graph, compute, plan);
  else
    plan.gradient_handle.assign(graph.values.size(), -1);
  return plan;
}

}  // namespace ctr
