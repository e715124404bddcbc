// SPDX-License-Identifier: Apache-2.0
#include "embedding/cpu_embedding.h"

namespace ctr {
namespace {

// Serves the embeddings of a model one after the other.
class CpuEmbeddingGroup final : public EmbeddingGroup {
 public:
  CpuEmbeddingGroup(const Context& ctx, const std::vector<EmbeddingSpec>& specs, int64_t max_batch)
      : max_batch_(max_batch) {
    for (size_t e = 0; e < specs.size(); ++e)
      embeddings_.push_back(std::make_unique<CpuEmbedding>(ctx, specs[e], static_cast<uint32_t>(e)));
    if (ctx.world_size > 1) exchange_ = std::make_unique<Exchange>(ctx, specs, max_batch);
  }

  void stage(Context& ctx, std::span<const CsrKeys* const> inputs, int64_t batch, bool training) override {
    require(batch <= max_batch_ && batch % ctx.world_size == 0,
            "embeddings were made for up to {} samples in equal parts on {} ranks, got {}", max_batch_,
            ctx.world_size, batch);
    for (size_t e = 0; e < embeddings_.size(); ++e) embeddings_[e]->stage(ctx, *inputs[e], batch, training);
  }
  void forward(Context& ctx, Comm& comm, std::span<const Tensor> outputs) override {
    for (size_t e = 0; e < embeddings_.size(); ++e)
      embeddings_[e]->forward(ctx, comm, exchange_.get(), outputs[e]);
  }
  void backward(Context& ctx, Comm& comm, std::span<const Tensor> d_outputs,
                const std::vector<bool>& frozen) override {
    for (size_t e = 0; e < embeddings_.size(); ++e)
      if (!frozen[e]) embeddings_[e]->backward(ctx, comm, exchange_.get(), hits_, d_outputs[e]);
  }

  int count() const override { return static_cast<int>(embeddings_.size()); }
  const EmbeddingSpec& spec(int e) const override { return at(e).spec(); }
  int64_t size(int e) const override { return at(e).table().index().size(); }
  int64_t capacity(int e) const override { return at(e).table().index().capacity(); }
  int64_t bytes(int e) const override { return at(e).table().bytes(); }

  TableDump export_rows(int e, bool with_states) const override {
    return at(e).table().export_rows(with_states);
  }
  void import_rows(int e, const TableDump& dump) override { at(e).table().import_rows(dump); }
  void import_states(int e, const TableDump& dump) override { at(e).table().import_states(dump); }

  int64_t optimizer_step(int e) const override { return at(e).optimizer_step; }
  void set_optimizer_step(int e, int64_t step) override { at(e).optimizer_step = step; }

 private:
  CpuEmbedding& at(int e) const { return *embeddings_.at(static_cast<size_t>(e)); }

  int64_t max_batch_;
  std::vector<std::unique_ptr<CpuEmbedding>> embeddings_;
  std::unique_ptr<Exchange> exchange_;  // several ranks
  RowHits hits_;
};

std::unique_ptr<EmbeddingGroup> make_cpu_group(Context& ctx, const std::vector<EmbeddingSpec>& specs,
                                               int64_t max_batch) {
  return std::make_unique<CpuEmbeddingGroup>(ctx, specs, max_batch);
}

EmbeddingGroupFactory& factory(Backend b) {
  static EmbeddingGroupFactory factories[kNumBackends] = {make_cpu_group};
  return factories[static_cast<int>(b)];
}

}  // namespace

void register_embedding_group(Backend b, EmbeddingGroupFactory f) { factory(b) = f; }

std::unique_ptr<EmbeddingGroup> make_embedding_group(Context& ctx, const std::vector<EmbeddingSpec>& specs,
                                                     int64_t max_batch) {
  for (const auto& spec : specs) validate(spec);
  const EmbeddingGroupFactory make = factory(ctx.device.backend);
  if (!make) fail(ErrorKind::unsupported, "no embeddings on {}", to_string(ctx.device));
  return make(ctx, specs, max_batch);
}

}  // namespace ctr
