// SPDX-License-Identifier: Apache-2.0
#include "model/network.h"

#include "device/memory.h"
#include "device/stream.h"

namespace ctr {

Network::Network(Graph graph, const DenseParameters& parameters, const Context& ctx, bool training)
    : graph_(std::move(graph)),
      compute_(parameters.compute_type()),
      plan_(make_plan(graph_, plan_options(ctx.device, compute_, training))),
      scratch_(ctx.device, plan_.scratch_bytes, "scratch") {
  for (Arena* arena : {&plan_.values, &plan_.gradients, &plan_.saved, &plan_.constants})
    arena->allocate(ctx.device);
  for (size_t v = 0; v < graph_.values.size(); ++v) {
    values_.push_back(tensor_at(plan_.values, plan_.value_places[v], graph_.values[v]));
    gradients_.push_back(tensor_at(plan_.gradients, plan_.gradient_places[v], graph_.values[v]));
  }
  for (const ZeroedColumns& z : plan_.zeroed_gradients) zeroed_.push_back(zeroed_part(z));
  fill_constants(ctx);
  steps_.reserve(graph_.nodes.size());
  for (size_t i = 0; i < graph_.nodes.size(); ++i) {
    Step& step = steps_.emplace_back(resolve(i, training));
    LayerRun& run = step.run;  // its spans must point into the step's final place
    run.x = step.x, run.y = step.y, run.saved = step.saved, run.scratch = step.scratch;
    run.constants = step.constants;
    run.moves = graph_.nodes[i].shapes.moves, run.move_rows = graph_.nodes[i].shapes.move_rows;
    run.d_x = step.d_x, run.d_y = step.d_y;
    run.w = parameters.compute_weights_of(i), run.d_w = parameters.gradients_of(i),
    run.state = parameters.states_of(i);
    run.d_x_mode = plan_.nodes[i].d_x_mode;
    run.name = graph_.nodes[i].spec.tops[0];
    run.samples = graph_.batch;
    run.training = training;
  }
}

Tensor Network::tensor_at(const Arena& arena, const Place& place, const Value& value) const {
  const DType type = storage_type(value, compute_);
  if (place.handle < 0) return {type, value.shape, nullptr};
  auto* first = static_cast<std::byte*>(arena[place.handle].raw());
  if (first) first += static_cast<size_t>(place.first) * size_of(type);
  return {type, value.shape, first, place.runs};
}

Tensor Network::zeroed_part(const ZeroedColumns& z) const {
  const Tensor& whole = gradients_[static_cast<size_t>(z.root)];
  if (z.row == 0) return whole;
  const Tensor rows(whole.dtype(), {whole.numel() / z.row, z.row}, whole.raw(), whole.runs());
  return rows.columns(z.first, z.width);
}

void Network::fill_constants(const Context& ctx) {
  for (size_t i = 0; i < graph_.nodes.size(); ++i)
    for (size_t k = 0; k < plan_.nodes[i].constants.size(); ++k)
      copy_to_device(ctx, plan_.constants[plan_.nodes[i].constants[k]],
                     graph_.nodes[i].shapes.constants[k].bytes.data());
}

Network::Step Network::resolve(size_t i, bool training) const {
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
  if (training) {
    for (const int v : node.inputs) step.d_x.push_back(gradient(v));
    for (const int v : node.outputs) step.d_y.push_back(gradient(v));
  }
  return step;
}

// Runs one node's operation, measured; its errors get the layer's name.
template <class Work>
void Network::run(size_t i, const Context& ctx, Profile* profile, Profile::Phase phase,
                  const Work& work) const {
  try {
    const Aside aside(ctx, plan_.nodes[i].aside ? Lane::branch : Lane::main);
    measured(profile, ctx, first_row_ + i, phase, work);
  } catch (const Error& error) {
    throw Error(error.kind(), describe(graph_.nodes[i].spec) + ": " + error.what());
  }
}

void Network::forward(Context& ctx, Profile* profile) const {
  for (size_t i = 0; i < steps_.size(); ++i) {
    if (!plan_.nodes[i].forward) continue;
    if (plan_.nodes[i].joins_forward) join_aside(ctx, Lane::branch);
    run(i, ctx, profile, Profile::Phase::forward,
        [&] { graph_.nodes[i].layer->forward(ctx, steps_[i].run); });
  }
}

void Network::backward(Context& ctx, Profile* profile) const {
  for (const Tensor& t : zeroed_) fill_zero(ctx, t);
  for (const size_t i : plan_.backward_order) {
    if (!plan_.nodes[i].backward) continue;
    if (plan_.nodes[i].joins_backward) join_aside(ctx, Lane::branch);
    run(i, ctx, profile, Profile::Phase::backward, [&] { backward_of(i, ctx); });
  }
  join_aside(ctx, Lane::branch);
}

void Network::backward_of(size_t i, Context& ctx) const {
  const Layer& layer = *graph_.nodes[i].layer;
  const LayerRun& run = steps_[i].run;
  layer.begin_backward(ctx, run);
  if (plan_.nodes[i].weights_aside) {
    const Aside aside(ctx, Lane::gradients);
    layer.backward_weights(ctx, run);
  }
  layer.backward(ctx, run);
}

void Network::add_rows(Profile& profile) {
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

Tensor Network::loss(size_t label) const {
  return value(graph_.nodes[static_cast<size_t>(graph_.losses[label])].outputs[0]);
}

Tensor Network::prediction(size_t label) const {
  return value(graph_.nodes[static_cast<size_t>(graph_.losses[label])].outputs[1]);
}

}  // namespace ctr
