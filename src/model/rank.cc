// SPDX-License-Identifier: Apache-2.0
#include "model/rank.h"

#include <algorithm>
#include <utility>

namespace ctr {
namespace {

Context make_context(Device device, const Stream& stream, uint64_t seed, const Comm& comm, int threads,
                     bool tf32) {
  Context ctx;
  ctx.device = device;
  ctx.stream = stream.handle();
  ctx.threads = threads;
  ctx.seed = seed;
  ctx.rank = comm.rank();
  ctx.world_size = comm.size();
  ctx.tf32 = tf32;
  return ctx;
}

}  // namespace

Rank::Rank(const ModelSpec& spec, uint64_t seed, Device device, DType compute, std::unique_ptr<Comm> comm,
           int threads)
    : stream_(device, step_bytes(spec)),
      comm_(std::move(comm)),
      ctx_(make_context(device, stream_, seed, *comm_, threads, spec.solver.enable_tf32_compute)),
      input_(ctx_, spec),
      weights_(ctx_, build_graph(spec, rank_batch(spec), true, device.backend), compute,
               TrainState::needs_packed_weights(spec.optimizer)),
      embeddings_(make_embedding_group(ctx_, spec.embeddings,
                                       std::max(spec.solver.batch_size, spec.solver.batch_size_eval))),
      trainer_(spec, {ctx_, *comm_, input_, weights_, *embeddings_}),
      evaluator_(spec, {ctx_, *comm_, input_, weights_, *embeddings_}) {}

void Rank::train(const Batch& batch, float lr) {
  trained_since_evaluation_ = true;
  trainer_.train(batch, lr);
}

void Rank::evaluate(const Batch& batch) {
  share_statistics();
  evaluator_.evaluate(batch);
}

void Rank::predict(const Batch& batch) {
  share_statistics();
  evaluator_.predict(batch);
}

// Ranks see different rows: all evaluate with the statistics of rank 0, which are the ones that are saved.
void Rank::share_statistics() {
  if (!std::exchange(trained_since_evaluation_, false)) return;
  if (const Tensor statistics = weights_.statistics(); statistics.numel() > 0)
    comm_->broadcast(ctx_, statistics, 0);
}

}  // namespace ctr
