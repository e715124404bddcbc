// SPDX-License-Identifier: Apache-2.0
#include "embedding/exchange.h"

#include <algorithm>
#include <cstring>

#include "base/parallel.h"
#include "embedding/lookup.h"
#include "kernels/columns.h"

namespace ctr {
namespace {

constexpr int64_t kGrain = 64;  // samples worth one thread

// Elements that this rank and each peer exchange: its slots of our samples (`ours`), our slots of its
// samples.
struct Counts {
  std::vector<int64_t> ours, theirs;
};
Counts counts_for(const Context& ctx, const EmbeddingSpec& spec, int64_t samples) {
  Counts c;
  for (int peer = 0; peer < ctx.world_size; ++peer) {
    c.ours.push_back(samples * slots_of(spec, peer, ctx.world_size).count * spec.dim);
    c.theirs.push_back(samples * slots_of(spec, ctx.rank, ctx.world_size).count * spec.dim);
  }
  return c;
}

// Copies between `by_sample` [samples, slots, dim] and `by_owner`, which holds for each rank [samples, its
// slots, dim].
void reorder(Context& ctx, const EmbeddingSpec& spec, const Tensor& by_sample, const Tensor& by_owner,
             bool towards_samples) {
  const auto bytes = spec.dim * static_cast<int64_t>(size_of(by_sample.dtype()));
  const int64_t samples = by_sample.shape()[0];
  const int64_t sample_bytes =
      by_sample.row_stride(spec.slots * spec.dim) * static_cast<int64_t>(size_of(by_sample.dtype()));
  auto* sample_base = static_cast<std::byte*>(by_sample.raw());
  parallel_for(ctx.threads, samples, kGrain, [&](int64_t begin, int64_t end) {
    auto* owner_base = static_cast<std::byte*>(by_owner.raw());
    for (int peer = 0; peer < ctx.world_size; ++peer) {
      const SlotSet slots = slots_of(spec, peer, ctx.world_size);
      for (int64_t i = begin; i < end; ++i)
        for (int64_t j = 0; j < slots.count; ++j) {
          std::byte* s = sample_base + i * sample_bytes + slots[j] * bytes;
          std::byte* o = owner_base + (i * slots.count + j) * bytes;
          towards_samples ? std::memcpy(s, o, bytes) : std::memcpy(o, s, bytes);
        }
      owner_base += samples * slots.count * bytes;
    }
  });
}

}  // namespace

Exchange::Exchange(const Context& ctx, std::span<const EmbeddingSpec> specs, int64_t max_batch) {
  int64_t bags = 0, samples = 0;
  for (const auto& spec : specs) {
    bags = std::max(bags, max_batch * slots_of(spec, ctx.rank, ctx.world_size).count * spec.dim);
    samples = std::max(samples, max_batch / ctx.world_size * spec.slots * spec.dim);
  }
  bags_ = Buffer(ctx.device, static_cast<size_t>(bags) * sizeof(float), "embedding exchange");
  samples_ = Buffer(ctx.device, static_cast<size_t>(samples) * sizeof(float), "embedding exchange");
}

Tensor Exchange::bag_vectors(const Context& ctx, const EmbeddingSpec& spec, int64_t batch,
                             DType dtype) const {
  return {dtype, {batch, slots_of(spec, ctx.rank, ctx.world_size).count, spec.dim}, bags_.data()};
}

void Exchange::to_samples(Context& ctx, Comm& comm, const EmbeddingSpec& spec, const Tensor& bag_vectors,
                          const float* factors, const Tensor& out) const {
  if (is_localized(spec)) {
    const Counts counts = counts_for(ctx, spec, out.shape()[0]);
    const Tensor received(out.dtype(), out.shape(), samples_.data());
    comm.all_to_all_v(ctx, bag_vectors, counts.theirs, received, counts.ours);
    return reorder(ctx, spec, out, received, true);
  }
  const bool in_place = out.dtype() == DType::f32 && out.is_packed();
  const Tensor sums = in_place ? out : Tensor(DType::f32, out.shape(), samples_.data());
  comm.reduce_scatter_sum(ctx, bag_vectors, sums);
  if (factors || !in_place)
    scale_rows(ctx, sums, factors ? factors + ctx.rank * out.shape().rows() : nullptr, out);
}

Tensor Exchange::to_owners(Context& ctx, Comm& comm, const EmbeddingSpec& spec, const Tensor& d_out) const {
  const Tensor d_bags = bag_vectors(ctx, spec, d_out.shape()[0] * ctx.world_size, d_out.dtype());
  if (is_localized(spec)) {
    const Counts counts = counts_for(ctx, spec, d_out.shape()[0]);
    const Tensor sent(d_out.dtype(), d_out.shape(), samples_.data());
    reorder(ctx, spec, d_out, sent, false);
    comm.all_to_all_v(ctx, sent, counts.ours, d_bags, counts.theirs);
  } else if (d_out.is_packed()) {
    comm.all_gather(ctx, d_out, d_bags);
  } else {
    const Tensor packed(d_out.dtype(), d_out.shape(), samples_.data());
    copy_columns(ctx, d_out, packed, d_out.shape()[0], {0, 0, spec.slots * spec.dim}, false);
    comm.all_gather(ctx, packed, d_bags);
  }
  return d_bags;
}

}  // namespace ctr
