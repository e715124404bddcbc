// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "device/buffer.h"
#include "embedding/bags.h"

namespace ctr {

// Carries vectors between the ranks that own rows and the ranks that own samples. Distributed embeddings add
// partial sums of whole batches up; localized ones trade whole slots for samples. Only for more than one
// rank.
class Exchange {
 public:
  // Buffers fit the largest of the embeddings, which take turns.
  Exchange(const Context& ctx, std::span<const EmbeddingSpec> specs, int64_t max_batch);

  // Room for one vector per bag of this rank: [batch, slots, dim].
  Tensor bag_vectors(const Context& ctx, const EmbeddingSpec& spec, int64_t batch, DType dtype) const;

  // Brings bag vectors to the ranks of their samples: out [batch / ranks, slots, dim]. Distributed bag
  // vectors are partial sums in f32; `factors` (of all bags, or null) are applied to their totals.
  void to_samples(Context& ctx, Comm& comm, const EmbeddingSpec& spec, const Tensor& bag_vectors,
                  const float* factors, const Tensor& out) const;
  // The way back for gradients: d_out [batch / ranks, slots, dim] of every rank becomes the result, one
  // vector per bag of this rank.
  Tensor to_owners(Context& ctx, Comm& comm, const EmbeddingSpec& spec, const Tensor& d_out) const;

 private:
  Buffer bags_;     // by owner: [max_batch, slots of a rank, dim]
  Buffer samples_;  // by sample: [max_batch / ranks, slots, dim]
};

}  // namespace ctr
