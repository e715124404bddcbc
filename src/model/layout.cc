// SPDX-License-Identifier: Apache-2.0
#include "model/layout.h"

#include <algorithm>

#include "model/plan.h"

namespace ctr {
namespace {

size_t at(int i) { return static_cast<size_t>(i); }

int storage_of(const Graph& graph, int value) { return graph.values[at(value)].storage; }

bool contains(const std::vector<int>& values, int v) {
  return std::find(values.begin(), values.end(), v) != values.end();
}

// Whether every input of a mover goes into an output as a whole.
bool joins(const Graph& graph, const Node& node) {
  return std::all_of(node.shapes.moves.begin(), node.shapes.moves.end(), [&](const ColumnMove& m) {
    return m.width * node.shapes.move_rows == graph.values[at(node.inputs[at(m.input)])].shape.numel();
  });
}

}  // namespace

Layout::Layout(const Graph& graph, DType compute, const LayoutOptions& options)
    : graph_(&graph),
      nestings_(graph.values.size()),
      paddings_(graph.values.size()),
      children_(graph.values.size()),
      members_(graph.values.size()),
      uses_(graph.values.size()) {
  for (size_t v = 0; v < graph.values.size(); ++v)
    members_[at(graph.values[v].storage)].push_back(static_cast<int>(v));
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    if (!graph.nodes[i].runs()) continue;
    for (const int v : graph.nodes[i].inputs) uses_[at(storage_of(graph, v))].push_back({v, i, false});
    for (const int v : graph.nodes[i].outputs) uses_[at(storage_of(graph, v))].push_back({v, i, true});
  }
  nest_moves(true);
  nest_moves(false);
  pad(compute, options);
}

// Of the movers that join, then of those that cut: what a product reads is laid out first.
void Layout::nest_moves(bool joining) {
  for (size_t i = 0; i < graph_->nodes.size(); ++i) {
    const Node& node = graph_->nodes[i];
    if (!node.runs() || joins(*graph_, node) != joining) continue;
    for (size_t k = 0; k < node.shapes.moves.size(); ++k) {
      const ColumnMove& m = node.shapes.moves[k];
      const int input = node.inputs[at(m.input)], output = node.outputs[at(m.output)];
      const int child = joining ? input : output, parent = joining ? output : input;
      const int64_t rows = node.shapes.move_rows, row = graph_->values[at(parent)].shape.numel() / rows;
      std::string why = "columns of it become columns of another";
      if (joining || m.width * rows == graph_->values[at(output)].shape.numel())
        why = nest(storage_of(*graph_, child),
                   {storage_of(*graph_, parent), joining ? m.target : m.source, m.width, row, i, k});
      if (!why.empty()) copies.push_back({i, child, false, why});
    }
  }
}

// Empty, or why not.
std::string Layout::nest(int child, const Nesting& n) {
  const Value &inner = graph_->values[at(child)], &outer = graph_->values[at(n.parent)];
  if (nestings_[at(child)].parent >= 0) return "it is part of another tensor already";
  if (inner.type != outer.type) return "their types differ";
  if (root(n.parent) == child) return "it holds the other already";
  if (nestings_[at(n.parent)].parent >= 0 && nestings_[at(n.parent)].width != n.parent_row)
    return "its rows are of two widths";
  if (const int64_t row = children_row(child); row != 0 && row != n.width)
    return "its own parts are of rows of another width";
  if (std::string why = obstacle(child, n.width); !why.empty()) return why;
  nestings_[at(child)] = n;
  children_[at(n.parent)].push_back(child);
  return "";
}

// Why a storage cannot lie in runs of so many elements, or empty.
std::string Layout::obstacle(int storage, int64_t run) const {
  for (const int v : members_[at(storage)]) {
    const Shape& shape = graph_->values[at(v)].shape;
    if (contains(graph_->labels, v)) return "labels are packed";
    if (v == graph_->dense && run != shape.last()) return "the dense input is loaded in whole rows";
    if (contains(graph_->embeddings, v) && run * shape[0] != shape.numel())
      return "an embedding writes whole samples";
  }
  for (const Use& use : uses_[at(storage)])
    if (std::string why = obstacle(use, run); !why.empty()) return why;
  return "";
}

std::string Layout::obstacle(const Use& use, int64_t run) const {
  const Node& node = graph_->nodes[use.node];
  const Shape& shape = graph_->values[at(use.value)].shape;
  if (!node.shapes.moves.empty()) return "";
  bool fits = false;
  switch (use.is_output ? node.shapes.strided_outputs : node.shapes.strided_inputs) {
    case Strided::no: break;
    case Strided::rows: fits = run == shape.last(); break;
    case Strided::samples: fits = run * shape[0] == shape.numel(); break;
    case Strided::runs:
      const auto agrees = [&](int v) {
        const int64_t other = own_run(storage_of(*graph_, v));
        return storage_of(*graph_, v) == storage_of(*graph_, use.value) || other == 0 || other == run;
      };
      fits = std::all_of(node.inputs.begin(), node.inputs.end(), agrees) &&
             std::all_of(node.outputs.begin(), node.outputs.end(), agrees);
  }
  return fits ? "" : fmt::format("{} takes it packed", describe(node.spec));
}

// Memory is aligned where a product meets rows that are worth it.
void Layout::pad(DType compute, const LayoutOptions& options) {
  const int64_t unit = options.row_bytes / static_cast<int64_t>(size_of(compute));
  for (size_t s = 0; unit > 1 && s < nestings_.size(); ++s) {
    if (members_[s].empty() || nestings_[s].parent >= 0) continue;
    const int64_t inner = children_row(static_cast<int>(s)),
                  row = inner ? inner : graph_->values[s].shape.last();
    const bool is_multiplied = std::any_of(uses_[s].begin(), uses_[s].end(), [&](const Use& use) {
      return graph_->nodes[use.node].shapes.flops > 0;
    });
    if (!is_multiplied || row < options.long_row || row % unit == 0 ||
        !obstacle(static_cast<int>(s), row).empty())
      continue;
    paddings_[s] = {row, (row + unit - 1) / unit * unit};
  }
}

int64_t Layout::own_run(int storage) const {
  return nestings_[at(storage)].parent >= 0 ? nestings_[at(storage)].width : paddings_[at(storage)].row;
}

// What the storage's children see as its rows: 0 without children, -1 where they do not agree.
int64_t Layout::children_row(int storage) const {
  int64_t row = 0;
  for (const int child : children_[at(storage)]) {
    const int64_t seen = nestings_[at(child)].parent_row;
    row = row == 0 || row == seen ? seen : -1;
  }
  return row;
}

int Layout::root(int storage) const {
  while (nestings_[at(storage)].parent >= 0) storage = nestings_[at(storage)].parent;
  return storage;
}

int64_t Layout::first_column(int storage) const {
  int64_t column = 0;
  for (int s = storage; nestings_[at(s)].parent >= 0; s = nestings_[at(s)].parent)
    column += nestings_[at(s)].first;
  return column;
}

int64_t Layout::memory(int root) const {
  const Padding& p = paddings_[at(root)];
  const int64_t n = graph_->values[at(root)].shape.numel();
  return p.row ? n / p.row * p.stride : n;
}

Tensor::Runs Layout::runs(int storage) const {
  int top = storage;
  while (nestings_[at(top)].parent >= 0 && nestings_[at(nestings_[at(top)].parent)].parent >= 0)
    top = nestings_[at(top)].parent;
  const Nesting& link = nestings_[at(top)];
  const Padding& padding = paddings_[at(root(storage))];
  if (link.parent < 0) return {padding.row, padding.stride, padding.stride - padding.row};
  return {nestings_[at(storage)].width, padding.row ? padding.stride : link.parent_row};
}

int64_t Layout::row_of_parts(int root) const { return children_[at(root)].empty() ? 0 : children_row(root); }

bool Layout::is_done(size_t node, size_t move) const {
  const Node& n = graph_->nodes[node];
  const ColumnMove& m = n.shapes.moves[move];
  return nestings_[at(storage_of(*graph_, n.inputs[at(m.input)]))].is_by(node, move) ||
         nestings_[at(storage_of(*graph_, n.outputs[at(m.output)]))].is_by(node, move);
}

bool Layout::is_done(size_t node) const {
  const size_t moves = graph_->nodes[node].shapes.moves.size();
  size_t done = 0;
  for (size_t k = 0; k < moves; ++k) done += is_done(node, k);
  return moves > 0 && done == moves;
}

Layout Layout::for_gradients(const std::vector<size_t>& positions) const {
  Layout gradients = *this;
  gradients.copies.clear();
  std::fill(gradients.nestings_.begin(), gradients.nestings_.end(), Nesting());
  for (auto& children : gradients.children_) children.clear();
  for (size_t i = 0; i < graph_->nodes.size(); ++i) {
    const Node& node = graph_->nodes[i];
    if (!node.runs()) continue;
    for (size_t k = 0; k < node.shapes.moves.size(); ++k) {
      const ColumnMove& m = node.shapes.moves[k];
      const int input = node.inputs[at(m.input)], output = node.outputs[at(m.output)];
      if (!graph_->values[at(input)].needs_grad) continue;
      const int of_input = storage_of(*graph_, input), of_output = storage_of(*graph_, output);
      const bool is_input = nestings_[at(of_input)].is_by(i, k);
      std::string why = "its values are copied";
      if (is_done(i, k)) why = gradients.nest_gradient(is_input ? of_input : of_output, *this, positions);
      if (!why.empty()) gradients.copies.push_back({i, joins(*graph_, node) ? input : output, true, why});
    }
  }
  return gradients;
}

// Lays a gradient as its values lie, unless two parts meet or sums would come out differently.
std::string Layout::nest_gradient(int child, const Layout& values, const std::vector<size_t>& positions) {
  const Nesting& n = values[child];
  for (const int sibling : children_[at(n.parent)]) {
    const Nesting& s = nestings_[at(sibling)];
    const bool apart = s.first + s.width <= n.first || n.first + n.width <= s.first;
    if (s.parent_row != n.parent_row || !apart) return "parts overlap";
  }
  if (!keeps_sums(n, child, positions)) return "its sum would be taken in another order";
  nestings_[at(child)] = n;
  children_[at(n.parent)].push_back(child);
  return "";
}

// The gradient of a part is a sum of what the readers of the part and those of the whole add to it. A move
// adds the sum of one side to that of the other at its turn; in one place, all add when they run. That is the
// same where none of the other side comes before the move.
bool Layout::keeps_sums(const Nesting& n, int child, const std::vector<size_t>& positions) const {
  if (positions.empty()) return true;
  const bool joined = joins(*graph_, graph_->nodes[n.node]);
  const auto& outer = uses_[at(joined ? child : n.parent)];
  return std::none_of(outer.begin(), outer.end(), [&](const Use& use) {
    return !use.is_output && positions[use.node] < positions[n.node];
  });
}

}  // namespace ctr
