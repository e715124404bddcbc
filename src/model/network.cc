// SPDX-License-Identifier: Apache-2.0
#include "model/network.h"

#include "device/memory.h"
#include "device/stream.h"

namespace ctr {

Network::Network(Graph graph, const DenseParameters& parameters, Device device, bool training)
    : graph_(std::move(graph)),
      compute_(parameters.compute_type()),
      plan_(make_plan(graph_, compute_, training)),
      scratch_(device, plan_.scratch_bytes, "scratch") {
  plan_.values.allocate(device);
  plan_.gradients.allocate(device);
  plan_.saved.allocate(device);
  for (size_t v = 0; v < graph_.values.size(); ++v) {
    const Shape& shape = graph_.values[v].shape;
    values_.emplace_back(storage_type(graph_.values[v], compute_), shape,
                         plan_.values[plan_.value_handle[v]].raw());
    const int handle = plan_.gradient_handle[v];
    gradients_.emplace_back(storage_type(graph_.values[v], compute_), shape,
                            handle < 0 ? nullptr : plan_.gradients[handle].raw());
  }
  for (const int v : plan_.zeroed_gradients) zeroed_.push_back(gradients_[static_cast<size_t>(v)]);
  steps_.reserve(graph_.nodes.size());
  for (size_t i = 0; i < graph_.nodes.size(); ++i) {
    Step& step = steps_.emplace_back(resolve(i, training));
    LayerRun& run = step.run;  // its spans must point into the step's final place
    run.x = step.x, run.y = step.y, run.saved = step.saved, run.scratch = step.scratch;
    run.d_x = step.d_x, run.d_y = step.d_y;
    run.w = parameters.compute_weights_of(i), run.d_w = parameters.gradients_of(i),
    run.state = parameters.states_of(i);
    run.d_x_mode = plan_.nodes[i].d_x_mode;
    run.name = graph_.nodes[i].spec.tops[0];
    run.samples = graph_.batch;
    run.training = training;
  }
}

Network::Step Network::resolve(size_t i, bool training) const {
  const Node& node = graph_.nodes[i];
  Step step;
  for (const int v : node.inputs) step.x.push_back(value(v));
  for (const int v : node.outputs) step.y.push_back(value(v));
  for (const int handle : plan_.nodes[i].saved) step.saved.push_back(plan_.saved[handle]);
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
    if (!graph_.nodes[i].runs()) continue;
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
    run(i, ctx, profile, Profile::Phase::backward,
        [&] { graph_.nodes[i].layer->backward(ctx, steps_[i].run); });
  }
  join_aside(ctx, Lane::branch);
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
