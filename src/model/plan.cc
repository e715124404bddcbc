// SPDX-License-Identifier: Apache-2.0
#include "model/plan.h"

#include <algorithm>

#include "base/intervals.h"
#include "model/liveness.h"

namespace ctr {
namespace {

size_t storage(const Graph& graph, int value) {
  return static_cast<size_t>(graph.values[static_cast<size_t>(value)].storage);
}

Place place_of(const Layout& layout, int storage, int handle) {
  if (handle < 0) return {};
  return {handle, layout.first_column(storage), layout.runs(storage), layout[storage].parent < 0};
}

// The memory that a value is in.
size_t root(const Graph& graph, const Layout& layout, int value) {
  return static_cast<size_t>(layout.root(static_cast<int>(storage(graph, value))));
}

// The first of the nodes that `counts` behind each that reads the memory (by value) of its outputs; the
// number of nodes where none does.
template <class Counts, class Memory>
std::vector<size_t> first_readers(const Graph& graph, const Counts& counts, const Memory& memory) {
  const size_t n = graph.nodes.size();
  std::vector<size_t> reader(graph.values.size(), n), first(n, n);  // by memory, by node
  for (size_t i = n; i-- > 0;) {
    const Node& node = graph.nodes[i];
    if (!counts(i)) continue;
    for (const int v : node.outputs) first[i] = std::min(first[i], reader[memory(v)]);
    for (const int v : node.inputs) reader[memory(v)] = i;
  }
  return first;
}

// A node runs aside when another one stands between it and its first reader. In backward its turn comes when
// all who read it have had theirs, among them movers that forward does not need.
void place_aside(const Graph& graph, const Layout& layout, Plan& plan) {
  const size_t n = graph.nodes.size();
  for (size_t i = 0; i < n; ++i) {
    plan.nodes[i].forward = graph.nodes[i].runs() && !layout.is_done(i);
    plan.nodes[i].weights_aside = graph.nodes[i].shapes.splits_backward;
  }
  const auto reader = first_readers(
      graph, [&](size_t i) { return plan.nodes[i].forward; }, [&](int v) { return root(graph, layout, v); });
  const auto last_backward = first_readers(
      graph, [&](size_t i) { return graph.nodes[i].runs(); }, [&](int v) { return storage(graph, v); });
  size_t next = n;  // that runs
  for (size_t i = n; i-- > 0;) {
    if (!plan.nodes[i].forward) continue;
    plan.nodes[i].aside = !graph.nodes[i].def->is_loss && reader[i] < n && reader[i] != next;
    if (plan.nodes[i].aside) plan.nodes[reader[i]].joins_forward = true;
    next = i;
  }
  for (size_t i = n; i-- > 0;) {
    if (!plan.nodes[i].aside) plan.backward_order.push_back(i);
    for (size_t k = i; k-- > 0;)
      if (plan.nodes[k].aside && std::min(reader[k], last_backward[k]) == i) plan.backward_order.push_back(k);
  }
}

// Memory of each root, of each node's saved buffers, and a region for scratch that nodes share; those aside
// have parts of their own.
std::vector<int> place_apart(const Graph& graph, const Layout& layout, DType compute, Plan& plan) {
  std::vector<int> handle(graph.values.size(), -1);
  for (size_t v = 0; v < graph.values.size(); ++v)
    if (is_root(graph, layout, v))
      handle[v] =
          plan.memory.add(storage_type(graph.values[v], compute), {layout.memory(static_cast<int>(v))});
  for (size_t i = 0; i < graph.nodes.size(); ++i)
    for (const auto& b : graph.nodes[i].shapes.saved)
      plan.nodes[i].saved.push_back(plan.memory.add(storage_type(b, compute), b.shape));
  const size_t shared = aligned(plan.memory.bytes());
  const auto place_scratch = [&](size_t i, size_t offset) {
    for (const auto& b : graph.nodes[i].shapes.scratch) {
      plan.nodes[i].scratch.push_back(plan.memory.add_at(offset, storage_type(b, compute), b.shape));
      offset += aligned(bytes_of(b, compute));
    }
  };
  for (size_t i = 0; i < graph.nodes.size(); ++i)
    if (!plan.nodes[i].aside) place_scratch(i, shared);
  for (size_t i = 0; i < graph.nodes.size(); ++i)
    if (plan.nodes[i].aside) place_scratch(i, aligned(plan.memory.bytes()));
  return handle;
}

// Walks the layers backwards: who writes columns of a gradient first, and who adds to them.
class GradientPlanner {
 public:
  GradientPlanner(const Graph& graph, const Layout& values, Plan& plan, bool keeps_sums)
      : graph_(graph),
        plan_(plan),
        layout_(values.for_gradients(keeps_sums ? positions() : std::vector<size_t>())),
        written_(graph.values.size()),
        pending_(graph.values.size(), false) {
    plan.copies.insert(plan.copies.end(), layout_.copies.begin(), layout_.copies.end());
  }

  void place(DType compute) {
    for (const size_t i : plan_.backward_order)
      if (graph_.nodes[i].runs()) visit(i);
    for (const int v : graph_.embeddings) read(v);
    std::vector<int> handle(graph_.values.size(), -1);
    for (size_t v = 0; v < graph_.values.size(); ++v)
      if (written_[v].meets({0, row_of(v)}))
        handle[v] = plan_.gradients.add(storage_type(graph_.values[v], compute),
                                        {layout_.memory(static_cast<int>(v))});
    for (size_t v = 0; v < graph_.values.size(); ++v) {
      const int s = graph_.values[v].storage;
      plan_.gradient_places.push_back(place_of(
          layout_, s, is_written(static_cast<int>(v)) ? handle[static_cast<size_t>(layout_.root(s))] : -1));
    }
  }

 private:
  struct Columns {  // of a root's gradient, or all of it as one
    size_t root;
    Range range;
  };
  int64_t row_of(size_t root) const {
    return std::max<int64_t>(1, layout_.row_of_parts(static_cast<int>(root)));
  }

  std::vector<size_t> positions() const {
    std::vector<size_t> turn(graph_.nodes.size(), 0);
    for (size_t k = 0; k < plan_.backward_order.size(); ++k) turn[plan_.backward_order[k]] = k;
    return turn;
  }

  Columns columns_of(int value) const {
    const int s = graph_.values[static_cast<size_t>(value)].storage;
    const auto root = static_cast<size_t>(layout_.root(s));
    if (layout_[s].parent < 0) return {root, {0, row_of(root)}};
    const int64_t first = layout_.first_column(s);
    return {root, {first, first + layout_[s].width}};
  }

  bool is_written(int value) const {
    const Columns c = columns_of(value);
    return written_[c.root].meets(c.range);
  }

  // What is added to or read must hold something.
  void read(int value) {
    const Columns c = columns_of(value);
    const int64_t all = row_of(c.root);
    for (const auto [begin, end] : written_[c.root].gaps(c.range)) {
      const int64_t width = end - begin;
      plan_.zeroed_gradients.push_back({static_cast<int>(c.root), width == all ? 0 : all, begin, width});
    }
    written_[c.root].add(c.range);
  }

  GradMode write(int value, bool adds) {
    if (adds || is_written(value)) {
      read(value);
      return GradMode::accumulate;
    }
    const Columns c = columns_of(value);
    written_[c.root].add(c.range);
    return GradMode::overwrite;
  }

  void visit(size_t i) {
    const Node& node = graph_.nodes[i];
    NodePlan& np = plan_.nodes[i];
    const auto needs_grad = [&](int v) { return graph_.values[static_cast<size_t>(v)].needs_grad; };
    const auto arrives = [&](int v) { return needs_grad(v) && is_written(v); };
    const bool is_mover = !node.shapes.moves.empty();
    np.backward = node.def->is_loss || std::any_of(node.outputs.begin(), node.outputs.end(), arrives);
    np.backward &= !layout_.is_done(i);
    if (!np.backward) return;
    if (!node.def->is_loss)
      for (const int v : node.outputs) read(v);
    for (size_t k = 0; k < node.inputs.size(); ++k) {
      const int v = node.inputs[k];
      const auto [moves, done] = is_mover ? moves_of(i, k) : std::pair(1, 0);
      np.d_x_mode.push_back(!needs_grad(v) || done == moves ? GradMode::skip : write(v, done > 0));
    }
    join_where_needed(node, np);
  }

  // From input k, and how many of them are in place.
  std::pair<int, int> moves_of(size_t i, size_t k) const {
    std::pair<int, int> counts;
    const auto& moves = graph_.nodes[i].shapes.moves;
    for (size_t m = 0; m < moves.size(); ++m)
      if (moves[m].input == static_cast<int>(k)) ++counts.first, counts.second += layout_.is_done(i, m);
    return counts;
  }

  // A node waits for gradients written aside before it reads them or adds its own; so do all after it.
  void join_where_needed(const Node& node, NodePlan& np) {
    const auto is_pending = [&](int v) { return pending_[root(graph_, layout_, v)]; };
    if (np.aside) {
      for (const int v : node.inputs) pending_[root(graph_, layout_, v)] = true;
    } else if (std::any_of(node.outputs.begin(), node.outputs.end(), is_pending) ||
               std::any_of(node.inputs.begin(), node.inputs.end(), is_pending)) {
      np.joins_backward = true;
      std::fill(pending_.begin(), pending_.end(), false);
    }
  }

  const Graph& graph_;
  Plan& plan_;
  Layout layout_;
  std::vector<Intervals> written_;  // by root: columns of its row, where it has parts
  std::vector<bool> pending_;       // roots whose gradients are written aside
};

bool like_gpu = false;

}  // namespace

DType storage_type(const Value& value, DType compute) {
  switch (value.type) {
    case ValueType::compute: return compute;
    case ValueType::f32: return DType::f32;
    case ValueType::i32: return DType::i32;
    case ValueType::i64: return DType::i64;
  }
  return compute;
}
DType storage_type(const BufferDef& buffer, DType compute) {
  return buffer.in_compute_type ? compute : buffer.dtype;
}

void plan_like_gpu(bool on) { like_gpu = on; }

PlanOptions plan_options(Device device, DType compute, bool training) {
  if (device.backend == Backend::cpu && !like_gpu) return {compute, training};
  LayoutOptions layout{.row_bytes = 16};  // what the tensor cores' fast accesses take
  if (like_gpu) layout.long_row = 1;
  return {compute, training, layout, false};
}

Plan make_plan(const Graph& graph, const PlanOptions& options) {
  Plan plan;
  plan.nodes.resize(graph.nodes.size());
  const Layout layout(graph, options.compute, options.layout);
  plan.copies = layout.copies;
  place_aside(graph, layout, plan);
  const std::vector<int> handle =
      (options.training ? place_apart : place_by_lifetime)(graph, layout, options.compute, plan);
  for (const Value& value : graph.values)
    plan.value_places.push_back(
        place_of(layout, value.storage, handle[static_cast<size_t>(layout.root(value.storage))]));
  for (size_t i = 0; i < graph.nodes.size(); ++i)
    for (const auto& c : graph.nodes[i].shapes.constants)
      plan.nodes[i].constants.push_back(plan.constants.add(c.dtype, c.shape));
  if (options.training)
    GradientPlanner(graph, layout, plan, options.keeps_sums).place(options.compute);
  else
    plan.gradient_places.resize(graph.values.size());
  return plan;
}

}  // namespace ctr
