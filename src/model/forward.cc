// SPDX-License-Identifier: Apache-2.0
#include "model/forward.h"

#include <algorithm>

#include "device/memory.h"

namespace ctr {
namespace {

bool are_equal(const std::vector<ConstantDef>& a, const std::vector<ConstantDef>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const ConstantDef& x, const ConstantDef& y) { return x.bytes == y.bytes; });
}

bool fit(const std::vector<BufferDef>& smaller, const std::vector<BufferDef>& whole) {
  return std::equal(
      smaller.begin(), smaller.end(), whole.begin(), whole.end(),
      [](const BufferDef& s, const BufferDef& w) { return s.shape.numel() <= w.shape.numel(); });
}

bool are_equal(const std::vector<WeightDef>& a, const std::vector<WeightDef>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const WeightDef& x, const WeightDef& y) { return x.shape == y.shape; });
}

bool are_equal(const std::vector<ColumnMove>& a, const std::vector<ColumnMove>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const ColumnMove& x, const ColumnMove& y) {
    return x.input == y.input && x.output == y.output && x.source == y.source && x.target == y.target &&
           x.width == y.width;
  });
}

// Rows are as long, and lie in as much room.
bool fits(const Value& smaller, const Value& whole) {
  return smaller.storage == whole.storage && smaller.shape.last() == whole.shape.last() &&
         smaller.shape.numel() <= whole.shape.numel();
}

// The same computation with less of everything that it makes.
bool fits(const LayerShapes& smaller, const LayerShapes& whole) {
  return are_equal(smaller.weights, whole.weights) && are_equal(smaller.constants, whole.constants) &&
         are_equal(smaller.moves, whole.moves) && fit(smaller.saved, whole.saved) &&
         fit(smaller.scratch, whole.scratch);
}

// Whether all of a batch's tensors find room where those of a larger one are, and layers read the same.
bool fits(const Graph& smaller, const Graph& whole) {
  for (size_t v = 0; v < whole.values.size(); ++v)
    if (!fits(smaller.values[v], whole.values[v])) return false;
  for (size_t i = 0; i < whole.nodes.size(); ++i)
    if (!fits(smaller.nodes[i].shapes, whole.nodes[i].shapes)) return false;
  return true;
}

}  // namespace

std::vector<int64_t> batch_sizes(int64_t largest) {
  std::vector<int64_t> sizes;
  int64_t step = 1;
  for (int64_t n = 1; n < largest; n += step) {
    sizes.push_back(n);
    if (n == 8 * step) step *= 2;
  }
  sizes.push_back(largest);
  return sizes;
}

Forward::Forward(Graph graph, const Weights& weights, const Context& ctx, bool training)
    : graph_(std::move(graph)),
      weights_(weights),
      training_(training),
      plan_(make_plan(graph_, plan_options(ctx.device, weights.compute_type(), training))) {
  plan_.memory.allocate(ctx.device);
  plan_.constants.allocate(ctx.device);
  fill_constants(ctx);
  add(graph_);
  current_ = sizes_.front().get();
}

bool Forward::add_size(Graph graph) {
  if (!fits(graph, graph_)) return false;
  add(graph);
  return true;
}

bool Forward::choose_size(int64_t samples) {
  for (const auto& size : sizes_)
    if (size->samples == samples) {
      current_ = size.get();
      return true;
    }
  return false;
}

void Forward::add(const Graph& graph) {
  sizes_.push_back(std::make_unique<Size>());
  Size& size = *sizes_.back();
  size.samples = graph.batch;
  for (size_t v = 0; v < graph.values.size(); ++v)
    size.values.push_back(tensor_at(plan_.memory, plan_.value_places[v], graph.values[v]));
  size.steps.reserve(graph.nodes.size());
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    Step& step = size.steps.emplace_back(resolve(graph.nodes[i], plan_.nodes[i], size.values));
    LayerRun& run = step.run;  // its spans must point into what stays: the step's final place, our own graph
    run.x = step.x, run.y = step.y, run.saved = step.saved, run.scratch = step.scratch;
    run.constants = step.constants;
    run.moves = graph_.nodes[i].shapes.moves, run.move_rows = graph.nodes[i].shapes.move_rows;
    run.w = weights_.compute_values_of(i), run.state = weights_.statistics_of(i);
    run.name = graph_.nodes[i].spec.tops[0];
    run.samples = graph.batch;
    run.training = training_;
  }
}

Tensor Forward::tensor_at(const Arena& arena, const Place& place, const Value& value) const {
  const DType type = storage_type(value, weights_.compute_type());
  if (place.handle < 0) return {type, value.shape, nullptr};
  auto* first = static_cast<std::byte*>(arena[place.handle].raw());
  if (first) first += static_cast<size_t>(place.first) * size_of(type);
  return {type, value.shape, first, place.runs};
}

void Forward::fill_constants(const Context& ctx) {
  for (size_t i = 0; i < graph_.nodes.size(); ++i)
    for (size_t k = 0; k < plan_.nodes[i].constants.size(); ++k)
      copy_to_device(ctx, plan_.constants[plan_.nodes[i].constants[k]],
                     graph_.nodes[i].shapes.constants[k].bytes.data());
}

Forward::Step Forward::resolve(const Node& node, const NodePlan& plan,
                               const std::vector<Tensor>& values) const {
  Step step;
  for (const int v : node.inputs) step.x.push_back(values[static_cast<size_t>(v)]);
  for (const int v : node.outputs) step.y.push_back(values[static_cast<size_t>(v)]);
  const auto add_buffers = [&](const std::vector<BufferDef>& defs, const std::vector<int>& handles,
                               std::vector<Tensor>& to) {
    for (size_t k = 0; k < defs.size(); ++k)
      to.emplace_back(storage_type(defs[k], weights_.compute_type()), defs[k].shape,
                      plan_.memory[handles[k]].raw());
  };
  add_buffers(node.shapes.saved, plan.saved, step.saved);
  add_buffers(node.shapes.scratch, plan.scratch, step.scratch);
  for (const int handle : plan.constants) step.constants.push_back(plan_.constants[handle]);
  return step;
}

void Forward::run(Context& ctx, Profile* profile) const {
  for (size_t i = 0; i < graph_.nodes.size(); ++i) {
    if (!plan_.nodes[i].forward) continue;
    if (plan_.nodes[i].joins_forward) join_aside(ctx, Lane::branch);
    run_node(i, ctx, profile, Profile::Phase::forward,
             [&] { graph_.nodes[i].layer->forward(ctx, current_->steps[i].run); });
  }
}

void Forward::add_rows(Profile& profile) {
  for (size_t i = 0; i < graph_.nodes.size(); ++i) {
    const Step& step = current_->steps[i];
    double bytes = 0;
    for (const auto* tensors : {&step.x, &step.y})
      for (const Tensor& t : *tensors) bytes += static_cast<double>(t.bytes());
    for (const Tensor& t : step.run.w) bytes += static_cast<double>(t.bytes());
    const Node& node = graph_.nodes[i];
    const size_t row = profile.add_row(node.spec.tops[0], node.spec.type, node.shapes.flops, bytes);
    if (i == 0) first_row_ = row;
  }
}

Tensor Forward::loss(size_t label) const {
  return value(graph_.nodes[static_cast<size_t>(graph_.losses[label])].outputs[0]);
}

Tensor Forward::prediction(size_t label) const {
  return value(graph_.nodes[static_cast<size_t>(graph_.losses[label])].outputs[1]);
}

}  // namespace ctr
