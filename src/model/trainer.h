// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "model/step_input.h"
#include "model/watches.h"

namespace ctr {

// What the trainer and the evaluator of a rank share; all of it outlives them.
struct RankParts {
  Context& ctx;
  Comm& comm;
  StepInput& input;
  Weights& weights;
  EmbeddingGroup& embeddings;
};

// Trains the weights and embedding rows of one rank on its part of every batch.
class Trainer {
 public:
  Trainer(const ModelSpec& spec, const RankParts& parts);

  // Finds embedding rows and checks that new ones fit; changes nothing. Must succeed on all ranks before
  // train().
  void stage(const Batch& batch);
  void train(const Batch& batch, float lr);

  // Loss of the last train(), mean over this rank's rows, all labels, with regularizers; its rows. Read back
  // on demand.
  double loss() const;
  int64_t trained_rows() const { return trained_rows_; }
  // Steps trained so far: keys the dropout masks.
  int64_t training_step() const { return parts_.input.state.step; }
  void set_training_step(int64_t step) { parts_.input.state.step = step; }
  // Updates the dense optimizer has made.
  int64_t dense_step() const { return parts_.input.state.dense_step; }
  void set_dense_step(int64_t step) { parts_.input.state.dense_step = step; }

  // The step whose loss was the first not to be finite, and where the first such number came from.
  std::optional<FiniteWatch::Finding> divergence() const { return watches_.divergence(parts_.ctx); }
  void forget_divergence() const { watches_.forget(parts_.ctx); }
  // What of the dense weights, the running statistics or, with `gradients`, the last gradients of embeddings
  // that are trained is not finite; empty when there is nothing.
  std::string not_finite(bool gradients) const;

  TrainState& state() { return state_; }
  const Graph& graph() const { return forward_.graph(); }
  const Profile* profile() const { return profile_.get(); }  // rank 0 only, null unless switched on

  bool dense_frozen = false;
  std::vector<bool> embedding_frozen;

 private:
  enum ProfileRow : size_t { kLookup, kEmbeddings, kDenseUpdate };
  void start_profile();
  void step();
  void update_dense();

  OptimizerSpec optimizer_;
  bool use_cuda_graph_;
  RankParts parts_;
  Graph graph_;  // until forward_ has it
  TrainState state_;
  Forward forward_;
  Backward backward_;
  Regularizers regularizers_;
  Watches watches_;
  std::vector<Tensor> outputs_, d_outputs_;  // of embeddings
  int64_t trained_rows_ = 0;                 // of the last batch
  std::unique_ptr<Profile> profile_;
  StepGraph step_graph_;
  struct Recorded {  // what a recording of a step depends on
    int64_t generation = 0;
    bool dense_frozen = false;
    std::vector<bool> embedding_frozen = {};
    bool operator==(const Recorded&) const = default;
  } recorded_;
};

}  // namespace ctr
