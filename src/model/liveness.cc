// SPDX-License-Identifier: Apache-2.0
#include "model/liveness.h"

#include <algorithm>
#include <numeric>

namespace ctr {
namespace {

bool meet(const Lifetime& a, const Lifetime& b) { return a.first <= b.last && b.first <= a.last; }

// When nodes run: at moment i, or, aside, until the node that joins them. Inputs come at -1, and what is read
// afterwards stays until the number of nodes.
class Moments {
 public:
  Moments(const Graph& graph, const Plan& plan) : end_(graph.nodes.size()) {
    auto join = std::ssize(graph.nodes);
    for (size_t i = graph.nodes.size(); i-- > 0;) {
      end_[i] = plan.nodes[i].aside ? join : static_cast<int64_t>(i);
      if (plan.nodes[i].joins_forward) join = static_cast<int64_t>(i);
    }
  }
  int64_t end(size_t node) const { return end_[node]; }
  int64_t after_all() const { return std::ssize(end_); }

 private:
  std::vector<int64_t> end_;
};

// Of each root, by value.
class Lifetimes {
 public:
  Lifetimes(const Graph& graph, const Layout& layout, const Plan& plan, const Moments& moments)
      : graph_(graph), layout_(layout), all_(graph.values.size(), Lifetime{0, moments.after_all(), -1}) {
    for (const int v : graph.labels) extend(v, -1, moments.after_all());  // metrics read them
    if (graph.dense >= 0) extend(graph.dense, -1, -1);
    for (const int v : graph.embeddings) extend(v, -1, -1);
    for (size_t i = 0; i < graph.nodes.size(); ++i) {
      if (!plan.nodes[i].forward) continue;
      const Node& node = graph.nodes[i];
      const int64_t last = node.def->is_loss ? moments.after_all() : moments.end(i);
      for (const int v : node.inputs) extend(v, static_cast<int64_t>(i), moments.end(i));
      for (const int v : node.outputs) extend(v, static_cast<int64_t>(i), last);
    }
    // The zeros behind rows stay as long as nobody else writes there.
    for (size_t v = 0; v < all_.size(); ++v)
      if (is_root(graph, layout, v) && layout.memory(static_cast<int>(v)) != graph.values[v].shape.numel())
        extend(static_cast<int>(v), -1, moments.after_all());
  }
  Lifetime operator[](size_t root) const { return all_[root]; }

 private:
  void extend(int value, int64_t first, int64_t last) {
    const int storage = graph_.values[static_cast<size_t>(value)].storage;
    Lifetime& lifetime = all_[static_cast<size_t>(layout_.root(storage))];
    lifetime.first = std::min(lifetime.first, first);
    lifetime.last = std::max(lifetime.last, last);
  }

  const Graph& graph_;
  const Layout& layout_;
  std::vector<Lifetime> all_;
};

}  // namespace

size_t bytes_of(const BufferDef& b, DType compute) {
  return static_cast<size_t>(b.shape.numel()) * size_of(storage_type(b, compute));
}

bool is_root(const Graph& graph, const Layout& layout, size_t value) {
  return graph.values[value].storage == static_cast<int>(value) && layout[static_cast<int>(value)].parent < 0;
}

// The largest first, each at the lowest place that is free while it lives.
Packing pack(const std::vector<Lifetime>& blocks) {
  Packing packing{std::vector<size_t>(blocks.size()), 0};
  std::vector<size_t> order(blocks.size()), placed;  // by offset
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return blocks[a].bytes > blocks[b].bytes; });
  const auto end_of = [&](size_t i) { return packing.offsets[i] + aligned(blocks[i].bytes); };
  for (const size_t i : order) {
    size_t offset = 0;
    for (const size_t other : placed) {
      if (!meet(blocks[i], blocks[other])) continue;
      if (offset + aligned(blocks[i].bytes) <= packing.offsets[other]) break;
      offset = std::max(offset, end_of(other));
    }
    packing.offsets[i] = offset;
    packing.bytes = std::max(packing.bytes, end_of(i));
    const auto behind = std::find_if(placed.begin(), placed.end(),
                                     [&](size_t other) { return packing.offsets[other] > offset; });
    placed.insert(behind, i);
  }
  return packing;
}

std::vector<int> place_by_lifetime(const Graph& graph, const Layout& layout, DType compute, Plan& plan) {
  const Moments moments(graph, plan);
  const Lifetimes lifetimes(graph, layout, plan, moments);
  struct Block {
    DType dtype;
    Shape shape;
    int* handle;
  };
  std::vector<int> roots(graph.values.size(), -1);
  std::vector<Block> blocks;
  std::vector<Lifetime> needed;
  const auto add = [&](DType dtype, const Shape& shape, int64_t first, int64_t last, int* handle) {
    needed.push_back({static_cast<size_t>(shape.numel()) * size_of(dtype), first, last});
    blocks.push_back({dtype, shape, handle});
  };
  for (size_t v = 0; v < graph.values.size(); ++v)
    if (is_root(graph, layout, v))
      add(storage_type(graph.values[v], compute), {layout.memory(static_cast<int>(v))}, lifetimes[v].first,
          lifetimes[v].last, &roots[v]);
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const LayerShapes& shapes = graph.nodes[i].shapes;
    NodePlan& node = plan.nodes[i];
    node.saved.resize(shapes.saved.size());
    node.scratch.resize(shapes.scratch.size());
    for (const auto& [defs, handles] :
         {std::pair(&shapes.saved, &node.saved), std::pair(&shapes.scratch, &node.scratch)})
      for (size_t k = 0; k < defs->size(); ++k)
        add(storage_type((*defs)[k], compute), (*defs)[k].shape, static_cast<int64_t>(i), moments.end(i),
            &(*handles)[k]);
  }
  const Packing packing = pack(needed);
  for (size_t b = 0; b < blocks.size(); ++b)
    *blocks[b].handle = plan.memory.add_at(packing.offsets[b], blocks[b].dtype, blocks[b].shape);
  return roots;
}

}  // namespace ctr
