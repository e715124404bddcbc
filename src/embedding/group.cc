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
  RowStore& store(int e) const override { return at(e).table(); }

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

RowBlock EmbeddingGroup::export_rows(int e, bool with_states) const {
  const RowLayout layout(spec(e).optimizer, spec(e).dim);
  return export_rows(e, Range{0, end_row(e)},
                     {.vectors = true,
                      .last_steps = with_states && layout.has_last_step,
                      .first_state = 0,
                      .num_states = with_states ? layout.states : 0});
}

void EmbeddingGroup::import_rows(int e, const RowBlock& rows) {
  const auto import = begin_import(e);
  if (const int64_t twice = import->add(rows); twice < std::ssize(rows.keys))
    fail(ErrorKind::invalid_argument, "embedding \"{}\": key {} is there twice", spec(e).name,
         rows.keys[static_cast<size_t>(twice)]);
  import->commit();
}

void register_embedding_group(Backend b, EmbeddingGroupFactory f) { factory(b) = f; }

std::unique_ptr<EmbeddingGroup> make_embedding_group(Context& ctx, const std::vector<EmbeddingSpec>& specs,
                                                     int64_t max_batch) {
  for (const auto& spec : specs) validate(spec);
  const EmbeddingGroupFactory make = factory(ctx.device.backend);
  if (!make) fail(ErrorKind::unsupported, "no embeddings on {}", to_string(ctx.device));
  return make(ctx, specs, max_batch);
}

}  // namespace ctr
