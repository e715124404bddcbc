// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "model/evaluator.h"
#include "model/trainer.h"

namespace ctr {

// One rank of a model: a replica of the dense network, a shard of the embeddings, a part of every batch.
class Rank {
 public:
  Rank(const ModelSpec& spec, uint64_t seed, Device device, DType compute, std::unique_ptr<Comm> comm,
       int threads);

  void train(const Batch& batch, float lr);  // once staged, as evaluate()
  void evaluate(const Batch& batch);
  void predict(const Batch& batch);

  Context& context() { return ctx_; }
  Comm& comm() { return *comm_; }
  Weights& weights() { return weights_; }
  EmbeddingGroup& embeddings() { return *embeddings_; }
  Trainer& trainer() { return trainer_; }
  Evaluator& evaluator() { return evaluator_; }
  const Graph& graph() const { return trainer_.graph(); }

 private:
  void share_statistics();

  Stream stream_;
  std::unique_ptr<Comm> comm_;
  Context ctx_;
  StepInput input_;
  Weights weights_;
  std::unique_ptr<EmbeddingGroup> embeddings_;
  Trainer trainer_;
  Evaluator evaluator_;
  bool trained_since_evaluation_ = false;
};

}  // namespace ctr
