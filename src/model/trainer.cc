// SPDX-License-Identifier: Apache-2.0
#include "model/trainer.h"

#include "device/memory.h"
#include "optim/dense_update.h"

namespace ctr {

Trainer::Trainer(const ModelSpec& spec, const RankParts& parts)
    : embedding_frozen(spec.embeddings.size(), false),
      optimizer_(spec.optimizer),
      use_cuda_graph_(spec.solver.use_cuda_graph),
      parts_(parts),
      graph_(
          build_graph(spec, spec.solver.batch_size / parts.ctx.world_size, true, parts.ctx.device.backend)),
      state_(parts.ctx, graph_, parts.weights, spec.optimizer),
      forward_(std::move(graph_), parts.weights, parts.ctx, true),
      backward_(forward_, state_, parts.ctx),
      regularizers_(parts.ctx, forward_.graph(), spec.solver.batch_size),
      watches_(parts.ctx, forward_, backward_, parts.weights, regularizers_) {
  for (const int v : graph().embeddings) {
    outputs_.push_back(forward_.value(v));
    d_outputs_.push_back(backward_.gradient(v));
  }
  if (parts.ctx.rank == 0) start_profile();
}

void Trainer::start_profile() {
  profile_ = Profile::from_environment();
  if (!profile_) return;
  double vectors = 0;  // bytes of one vector per key and slot, a lower bound of what a pass touches
  for (const Tensor& t : outputs_) vectors += 2.0 * static_cast<double>(t.bytes());
  profile_->add_row("keys", "row lookup", 0, 0);
  profile_->add_row("embeddings", "gather / row update", 0, vectors);
  profile_->add_row("optimizer", "dense update", 0, static_cast<double>(parts_.weights.memory().bytes()));
  forward_.add_rows(*profile_);
}

std::string Trainer::not_finite(bool gradients) const {
  std::string name = watches_.not_finite_weight(parts_.ctx);
  for (size_t e = 0; gradients && e < d_outputs_.size() && name.empty(); ++e)
    if (!embedding_frozen[e]) name = watches_.not_finite_gradient(parts_.ctx, e);
  return name;
}

void Trainer::stage(const Batch& batch) {
  measured(profile_.get(), parts_.ctx, kLookup, Profile::Phase::forward,
           [&] { parts_.embeddings.stage(parts_.ctx, parts_.input.keys(batch), batch.capacity, true); });
}

void Trainer::train(const Batch& batch, float lr) {
  StepState& state = parts_.input.state;
  state.learning_rate = lr;
  if (!dense_frozen) ++state.dense_step;
  parts_.input.load(parts_.ctx, batch, forward_);
  trained_rows_ = state.rows;
  const Recorded now{parts_.embeddings.generation(), dense_frozen, embedding_frozen};
  if (std::exchange(recorded_, now) != now) step_graph_.reset();
  if (use_cuda_graph_ && !profile_)
    step_graph_.run(parts_.ctx, [this] { step(); });
  else
    step();
  ++state.step;
}

// Everything in it is the same from step to step: what changes is in device memory.
void Trainer::step() {
  Context& ctx = parts_.ctx;
  Profile* profile = profile_.get();
  parts_.input.unpack(ctx, forward_);
  measured(profile, ctx, kEmbeddings, Profile::Phase::forward,
           [&] { parts_.embeddings.forward(ctx, parts_.comm, outputs_); });
  forward_.run(ctx, profile);
  regularizers_.compute(ctx, parts_.weights.memory());
  backward_.run(ctx, profile);
  {
    const Aside aside(ctx, Lane::gradients);
    watches_.check_step(ctx);
    measured(profile, ctx, kDenseUpdate, Profile::Phase::backward, [&] { update_dense(); });
  }
  measured(profile, ctx, kEmbeddings, Profile::Phase::backward,
           [&] { parts_.embeddings.backward(ctx, parts_.comm, d_outputs_, embedding_frozen); });
  join_aside(ctx, Lane::gradients);
  if (profile) profile->finish_step();
}

void Trainer::update_dense() {
  const Weights& weights = parts_.weights;
  if (dense_frozen || weights.count() == 0) return;
  const Tensor gradients = state_.gradients();
  parts_.comm.all_reduce_sum(parts_.ctx, gradients);
  regularizers_.add_gradients(parts_.ctx, weights.memory(), gradients);
  dense_update(parts_.ctx, weights.memory(), gradients, state_.optimizer_states(), optimizer_,
               weights.copies());
}

double Trainer::loss() const {
  double sum = 0;
  for (size_t label = 0; label < regularizers_.labels(); ++label)
    sum += to_host(parts_.ctx, forward_.loss(label))[0] + to_host(parts_.ctx, regularizers_.value(label))[0];
  return sum;
}

}  // namespace ctr
