// SPDX-License-Identifier: Apache-2.0
#include "model/forward.h"

#include "device/memory.h"

namespace ctr {

Forward::Forward(Graph graph, const Weights& weights, const Context& ctx, bool training)
    : graph_(std::move(graph)),
      compute_(weights.compute_type()),
      plan_(make_plan(graph_, plan_options(ctx.device, compute_, training))),
      scratch_(ctx.device, plan_.scratch_bytes, "scratch") {
  for (Arena* arena : {&plan_.values, &plan_.saved, &plan_.constants}) arena->allocate(ctx.device);
  for (size_t v = 0; v < graph_.values.size(); ++v)
    values_.push_back(tensor_at(plan_.values, plan_.value_places[v], graph_.values[v]));
  fill_constants(ctx);
  steps_.reserve(graph_.nodes.size());
  for (size_t i = 0; i < graph_.nodes.size(); ++i) {
    Step& step = steps_.emplace_back(resolve(i));
    LayerRun& run = step.run;  // its spans must point into the step's final place
    run.x = step.x, run.y = step.y, run.saved = step.saved, run.scratch = step.scratch;
    run.constants = step.constants;
    run.moves = graph_.nodes[i].shapes.moves, run.move_rows = graph_.nodes[i].shapes.move_rows;
    run.w = weights.compute_values_of(i), run.state = weights.statistics_of(i);
    run.name = graph_.nodes[i].spec.tops[0];
    run.samples = graph_.batch;
    run.training = training;
  }
}

Tensor Forward::tensor_at(const Arena& arena, const Place& place, const Value& value) const {
  const DType type = storage_type(value, compute_);
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

Forward::Step Forward::resolve(size_t i) const {
  const Node& node = graph_.nodes[i];
  Step step;
  for (const int v : node.inputs) step.x.push_back(value(v));
  for (const int v : node.outputs) step.y.push_back(value(v));
  for (const int handle : plan_.nodes[i].saved) step.saved.push_back(plan_.saved[handle]);
  for (const int handle : plan_.nodes[i].constants) step.constants.push_back(plan_.constants[handle]);
  for (size_t k = 0; k < plan_.nodes[i].scratch.size(); ++k) {
    const BufferDef& b = node.shapes.scratch[k];
    step.scratch.emplace_back(storage_type(b, compute_), b.shape,
                              scratch_.data() + plan_.nodes[i].scratch[k]);
  }
  return step;
}

void Forward::run(Context& ctx, Profile* profile) const {
  for (size_t i = 0; i < steps_.size(); ++i) {
    if (!plan_.nodes[i].forward) continue;
    if (plan_.nodes[i].joins_forward) join_aside(ctx, Lane::branch);
    run_node(i, ctx, profile, Profile::Phase::forward,
             [&] { graph_.nodes[i].layer->forward(ctx, steps_[i].run); });
  }
}

void Forward::add_rows(Profile& profile) {
  for (size_t i = 0; i < graph_.nodes.size(); ++i) {
    double bytes = 0;
    for (const auto* tensors : {&steps_[i].x, &steps_[i].y})
      for (const Tensor& t : *tensors) bytes += static_cast<double>(t.bytes());
    for (const Tensor& t : steps_[i].run.w) bytes += static_cast<double>(t.bytes());
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
