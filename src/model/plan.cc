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

// The first running node behind each that reads its outputs; the number of nodes where none does.
std::vector<size_t> first_readers(const Graph& graph) {
  const size_t n = graph.nodes.size();
  std::vector<size_t> reader(graph.values.size(), n), first(n, n);  // by storage, by node
  for (size_t i = n; i-- > 0;) {
    const Node& node = graph.nodes[i];
    if (!node.runs()) continue;
    for (const int v : node.outputs) first[i] = std::min(first[i], reader[storage(graph, v)]);
    for (const int v : node.inputs) reader[storage(graph, v)] = i;
  }
  return first;
}

// A node runs aside when another one stands between it and its first reader.
void place_aside(const Graph& graph, Plan& plan) {
  const size_t n = graph.nodes.size();
  const std::vector<size_t> reader = first_readers(graph);
  size_t next = n;  // that runs
  for (size_t i = n; i-- > 0;) {
    if (!graph.nodes[i].runs()) continue;
    plan.nodes[i].aside = !graph.nodes[i].def->is_loss && reader[i] < n && reader[i] != next;
    if (plan.nodes[i].aside) plan.nodes[reader[i]].joins_forward = true;
    next = i;
  }
  for (size_t i = n; i-- > 0;) {
    if (!plan.nodes[i].aside) plan.backward_order.push_back(i);
    for (size_t k = i; k-- > 0;)
      if (plan.nodes[k].aside && reader[k] == i) plan.backward_order.push_back(k);
  }
}

void place_buffers(const Graph& graph, DType compute, Plan& plan) {
  constexpr size_t kLine = 64;
  std::vector<size_t> bytes(graph.nodes.size(), 0);
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    for (const auto& b : graph.nodes[i].shapes.scratch) {
      plan.nodes[i].scratch.push_back(bytes[i]);
      bytes[i] += (static_cast<size_t>(b.shape.numel()) * size_of(storage_type(b, compute)) + kLine - 1) /
                  kLine * kLine;
    }
    for (const auto& b : graph.nodes[i].shapes.saved)
      plan.nodes[i].saved.push_back(plan.saved.add(storage_type(b, compute), b.shape));
    if (!plan.nodes[i].aside) plan.scratch_bytes = std::max(plan.scratch_bytes, bytes[i]);
  }
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    if (!plan.nodes[i].aside) continue;
    for (size_t& offset : plan.nodes[i].scratch) offset += plan.scratch_bytes;
    plan.scratch_bytes += bytes[i];
  }
}

// A node waits for gradients written aside before it reads them or adds its own; so do all after it.
void join_where_needed(const Graph& graph, const Node& node, NodePlan& plan, std::vector<bool>& pending) {
  const auto is_pending = [&](int v) { return pending[storage(graph, v)]; };
  if (plan.aside) {
    for (const int v : node.inputs) pending[storage(graph, v)] = true;
  } else if (std::any_of(node.outputs.begin(), node.outputs.end(), is_pending) ||
             std::any_of(node.inputs.begin(), node.inputs.end(), is_pending)) {
    plan.joins_backward = true;
    std::fill(pending.begin(), pending.end(), false);
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
  std::vector<bool> pending(graph.values.size(), false);  // storages whose gradients are written aside
  for (const size_t i : plan.backward_order) {
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
    join_where_needed(graph, node, np, pending);
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
  place_aside(graph, plan);
  place_buffers(graph, compute, plan);
  if (training)
    place_gradients(graph, compute, plan);
  else
    plan.gradient_handle.assign(graph.values.size(), -1);
  return plan;
}

}  // namespace ctr
