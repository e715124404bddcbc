// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "device/stream.h"
#include "metrics/metric.h"
#include "model/finite_watch.h"
#include "model/network.h"
#include "model/regularizer.h"
#include "model/sample_groups.h"

namespace ctr {

// One rank of a model: a replica of the dense network, a shard of the embeddings, a part of every batch.
class Rank {
 public:
  Rank(const ModelSpec& spec, uint64_t seed, Device device, DType compute, std::unique_ptr<Comm> comm,
       int threads);

  // Finds embedding rows and checks that new ones fit; changes nothing. Must succeed on all ranks before a
  // step.
  void stage(const Batch& batch, bool training);
  void train(const Batch& batch, float lr);
  void evaluate(const Batch& batch);  // forward, then metrics

  // Loss of the last train(), mean over this rank's rows, all labels, with regularizers; its rows. Read back
  // on demand.
  double loss() const;
  int64_t trained_rows() const { return trained_rows_; }
  // Steps trained so far: keys the dropout masks.
  int64_t training_step() const { return step_.step; }
  void set_training_step(int64_t step) { step_.step = step; }
  // Updates the dense optimizer has made.
  int64_t dense_step() const { return step_.dense_step; }
  void set_dense_step(int64_t step) { step_.dense_step = step; }
  double metric_value(size_t metric, size_t label) { return metrics_[metric][label]->value(*comm_); }
  void reset_metrics();

  // Valid rows of the last evaluated batch, each with the columns of all labels side by side.
  void append_predictions(std::vector<float>& predictions, std::vector<float>& labels) const;

  // The step whose loss was the first not to be finite, and where the first such number came from.
  std::optional<FiniteWatch::Finding> divergence() const { return step_watch_.finding(ctx_); }
  void forget_divergence() const { step_watch_.forget(ctx_); }
  // What of the dense weights, the running statistics or, with `gradients`, the last gradients of embeddings
  // that are trained is not finite; empty when there is nothing.
  std::string not_finite(bool gradients);

  Context& context() { return ctx_; }
  Comm& comm() { return *comm_; }
  DenseParameters& parameters() { return parameters_; }
  EmbeddingGroup& embeddings() { return *embeddings_; }
  const Graph& graph() const { return train_.graph(); }
  const Profile* profile() const { return profile_.get(); }  // rank 0 only, null unless switched on

  bool dense_frozen = false;
  std::vector<bool> embedding_frozen;

 private:
  enum ProfileRow : size_t { kLookup, kEmbeddings, kDenseUpdate };
  void start_profile();
  void share_statistics();
  void load(const Batch& batch, const Network& network);
  void forward(const Network& network, bool training);
  void train_step();
  Tensor staging_of(const Tensor& dense) const { return {DType::f32, dense.shape(), dense_staging_.data()}; }
  void load_dense(const Batch& batch, const Network& network);
  void load_labels(const Batch& batch, const Network& network);
  void update_dense();
  void compute_regularizers(const Network& network);
  double label_loss(const Network& network, size_t label) const;
  void watch();

  ModelSpec spec_;
  bool trained_since_evaluation_ = false;
  Stream stream_;
  StepState step_;  // as kernels see it once load() has copied it
  Buffer device_step_;
  Context ctx_;
  std::unique_ptr<Comm> comm_;
  Graph train_graph_;
  DenseParameters parameters_;
  Network train_, evaluate_;
  std::unique_ptr<EmbeddingGroup> embeddings_;
  std::vector<size_t> sparse_of_embedding_;
  std::vector<RegularizerTerm> regularizers_;
  std::vector<std::vector<std::unique_ptr<Metric>>> metrics_;  // [metric][label]
  SampleGroups groups_;
  std::vector<const CsrKeys*> keys_;
  std::vector<Tensor> train_outputs_, train_d_outputs_, evaluate_outputs_;
  std::vector<float> label_staging_;
  Buffer dense_staging_;                           // f32 input on its way to its type and rows
  int64_t trained_rows_ = 0, evaluated_rows_ = 0;  // of the last batches
  FiniteWatch step_watch_, weights_watch_;
  std::vector<FiniteWatch> gradient_watches_;  // of each embedding
  std::unique_ptr<Profile> profile_;
  StepGraph step_graph_;
  struct Recorded {  // what a recording of a step depends on
    int64_t generation = 0;
    bool dense_frozen = false;
    std::vector<bool> embedding_frozen = {};
    bool operator==(const Recorded&) const = default;
  } recorded_;
  Arena regularizer_values_{
      "regularizers"};  // [labels] of the training network, then of the evaluation network
};

}  // namespace ctr
