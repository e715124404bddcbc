// SPDX-License-Identifier: Apache-2.0
#include "model/backward.h"

#include "device/memory.h"

namespace ctr {

Backward::Backward(Forward& forward, const TrainState& state, const Context& ctx) : forward_(forward) {
  Plan& plan = forward.plan_;
  const Graph& graph = forward.graph();
  plan.gradients.allocate(ctx.device);
  for (size_t v = 0; v < graph.values.size(); ++v)
    gradients_.push_back(forward.tensor_at(plan.gradients, plan.gradient_places[v], graph.values[v]));
  for (const ZeroedColumns& z : plan.zeroed_gradients) zeroed_.push_back(zeroed_part(z));
  steps_.reserve(graph.nodes.size());
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    Step& step = steps_.emplace_back(resolve(i));
    LayerRun& run = step.run;  // its spans must point into the step's final place
    run.d_x = step.d_x, run.d_y = step.d_y, run.d_w = state.gradients_of(i);
    run.d_x_mode = plan.nodes[i].d_x_mode;
  }
}

Tensor Backward::zeroed_part(const ZeroedColumns& z) const {
  const Tensor& whole = gradients_[static_cast<size_t>(z.root)];
  if (z.row == 0) return whole;
  const Tensor rows(whole.dtype(), {whole.numel() / z.row, z.row}, whole.raw(), whole.runs());
  return rows.columns(z.first, z.width);
}

Backward::Step Backward::resolve(size_t i) const {
  const Node& node = forward_.graph().nodes[i];
  Step step{{}, {}, forward_.sizes_.front()->steps[i].run};
  for (const int v : node.inputs) step.d_x.push_back(gradient(v));
  for (const int v : node.outputs) step.d_y.push_back(gradient(v));
  return step;
}

void Backward::run(Context& ctx, Profile* profile) const {
  const Plan& plan = forward_.plan_;
  for (const Tensor& t : zeroed_) fill_zero(ctx, t);
  for (const size_t i : plan.backward_order) {
    if (!plan.nodes[i].backward) continue;
    if (plan.nodes[i].joins_backward) join_aside(ctx, Lane::branch);
    forward_.run_node(i, ctx, profile, Profile::Phase::backward, [&] { run_layer(i, ctx); });
  }
  join_aside(ctx, Lane::branch);
}

void Backward::run_layer(size_t i, Context& ctx) const {
  const Layer& layer = *forward_.graph().nodes[i].layer;
  const LayerRun& run = steps_[i].run;
  layer.begin_backward(ctx, run);
  if (forward_.plan_.nodes[i].weights_aside) {
    const Aside aside(ctx, Lane::gradients);
    layer.backward_weights(ctx, run);
  }
  layer.backward(ctx, run);
}

}  // namespace ctr
