// SPDX-License-Identifier: Apache-2.0
#include "embedding/cpu_embedding.h"

#include <atomic>
#include <limits>

#include "base/parallel.h"
#include "embedding/lookup.h"
#include "embedding/row_math.h"

namespace ctr {

CpuEmbedding::CpuEmbedding(const Context& ctx, const EmbeddingSpec& spec, uint32_t number)
    : spec_(spec), table_(ctx, spec, number) {}

void CpuEmbedding::stage(Context& ctx, const CsrKeys& input, int64_t batch, bool training) {
  batch_ = batch;
  training_ = training;
  bags_ = selector_.select(ctx, spec_, input, batch);
  require(bags_.count() < std::numeric_limits<uint32_t>::max(),
          "embedding \"{}\": {} samples of {} slots are too many", spec_.name, batch, spec_.slots);
  rows_.resize(bags_.keys.size());
  missing_ = table_.index().find(ctx, bags_, rows_);
  if (training)
    table_.index().check_room(bags_.keys, rows_, missing_);
  else
    missing_ = 0;
  if (spec_.combiner == Combiner::mean) compute_factors(ctx);
}

void CpuEmbedding::compute_factors(Context& ctx) {
  constexpr int64_t kGrain = 1 << 14;
  factors_.resize(static_cast<size_t>(bags_.count()));
  parallel_for(ctx.threads, bags_.count(), kGrain, [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; ++b)
      factors_[b] = mean_factor(bags_.data_offsets[b + 1] - bags_.data_offsets[b]);
  });
}

void CpuEmbedding::forward(Context& ctx, Comm& comm, const Exchange* exchange, const Tensor& out) {
  if (missing_) table_.insert(bags_, rows_);
  if (!exchange) return combine_rows(ctx, table_, bags_, rows_, factors(), out);
  // The keys of a distributed bag are on several ranks: only their total can be averaged and rounded.
  const bool whole_bags = is_localized(spec_);
  const Tensor vectors = exchange->bag_vectors(ctx, spec_, batch_, whole_bags ? out.dtype() : DType::f32);
  combine_rows(ctx, table_, bags_, rows_, whole_bags ? factors() : nullptr, vectors);
  exchange->to_samples(ctx, comm, spec_, vectors, factors(), out);
}

void CpuEmbedding::backward(Context& ctx, Comm& comm, const Exchange* exchange, RowHits& hits,
                            const Tensor& d_out) {
  if (!training_) fail(ErrorKind::internal, "embedding \"{}\": backward after an evaluation", spec_.name);
  const Tensor d_bags = exchange ? exchange->to_owners(ctx, comm, spec_, d_out) : d_out;
  const int64_t num_rows = table_.index().end_row();
  const bool every_row = updates_every_row(spec_.optimizer);
  hits.build(ctx, bags_, rows_, num_rows, every_row ? RowHits::Cut::ranges : RowHits::Cut::spread);
  const RowUpdate update{.optimizer = spec_.optimizer,
                         .constants = step_constants(spec_.optimizer, ctx.step->learning_rate,
                                                     ++optimizer_step, ctx.step->loss_scale),
                         .layout = table_.layout(),
                         .rows = table_.rows(),
                         .d_bags = d_bags,
                         .bag_factors = factors()};
  std::atomic<int> next = 0;
  parallel_team(hits.parts() == 1 ? 1 : ctx.threads, [&](int, int) {
    for (int p = next++; p < hits.parts(); p = next++) update_rows(update, hits.part(p), hits.rows(p));
  });
}

}  // namespace ctr
