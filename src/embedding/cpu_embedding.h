// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "embedding/exchange.h"
#include "embedding/row_hits.h"
#include "embedding/table.h"

namespace ctr {

// One embedding on one rank: the table and what a step keeps from stage to forward to backward.
class CpuEmbedding {
 public:
  CpuEmbedding(const Context& ctx, const EmbeddingSpec& spec, uint32_t number);

  void stage(Context& ctx, const CsrKeys& input, int64_t batch, bool training);
  // `exchange` is null where this rank is the only one; `hits` is scratch.
  void forward(Context& ctx, Comm& comm, const Exchange* exchange, const Tensor& out);
  void backward(Context& ctx, Comm& comm, const Exchange* exchange, RowHits& hits, const Tensor& d_out);

  const EmbeddingSpec& spec() const { return spec_; }
  Table& table() { return table_; }
  const Table& table() const { return table_; }

  int64_t optimizer_step = 0;  // steps done

 private:
  void compute_factors(Context& ctx);
  const float* factors() const { return spec_.combiner == Combiner::mean ? factors_.data() : nullptr; }

  EmbeddingSpec spec_;
  Table table_;

  int64_t batch_ = 0;
  bool training_ = false;
  BagSelector selector_;
  Bags bags_;
  std::vector<uint32_t> rows_;  // of bags_.keys
  std::vector<float> factors_;  // mean: of bags_
  int64_t missing_ = 0;         // keys to insert
};

}  // namespace ctr
