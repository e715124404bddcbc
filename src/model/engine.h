// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "model/labels.h"
#include "model/rank_group.h"
#include "model/slot_keys.h"
#include "model/spec.h"
#include "optim/schedule.h"

namespace ctr {

// Which keys the sparse model last loaded into an embedding has, in the order of its file, which optimizer
// state files follow.
struct LoadedKeys {
  std::vector<int64_t>
      rows;       // of each rank: its first rows, rank after rank, are the file; empty: nothing loaded
  RowBlock keys;  // the file's, where it has another order
};

// What became of the next batch of the training data.
struct TrainingStep {
  enum class Kind : uint8_t { trained, dropped, end };  // dropped: incomplete, consumed without an update
  Kind kind;
  int64_t rows;
};

// A compiled model: ranks, readers and schedule. The unit of work is one global batch.
class Engine {
 public:
  // Checks the spec, plans, allocates, initialises. Sources are opened when reading starts, not here.
  Engine(ModelSpec spec, Files files, ArrowOpener open_arrow);

  void start_reading();  // both readers, for iteration mode
  TrainingStep step();
  // The same for a loop of the user's own, with a log line where a batch is dropped. False at the end of the
  // data.
  bool train();
  void train_on(const Batch& batch);  // that the caller holds
  // Evaluates one batch. False at the end of the data.
  bool evaluate();
  // Appends the predictions of a batch's samples, a row each; export_predictions() has nothing then.
  void predict(const Batch& batch, std::vector<float>& predictions);
  ReaderSpec prediction_reader_spec() const;
  double current_loss();  // of the last step that trained; NaN before the first
  // Since the last call; (name, value) in reporting order. With several labels the first entry of a metric is
  // the mean over labels, then one "name:label" entry each.
  std::vector<std::pair<std::string, double>> eval_metrics();
  // Last evaluated batch, all labels: text files, values followed by one space each, appended.
  void export_predictions(const std::string& prediction_file, const std::string& label_file);

  LearningRateSchedule& schedule() { return schedule_; }
  void reset_schedule(const ScheduleSpec& schedule) { schedule_ = LearningRateSchedule(schedule); }
  void set_learning_rate(double lr);
  float learning_rate() const { return learning_rate_; }

  Reader& train_reader() { return *train_reader_; }
  Reader& eval_reader() { return *eval_reader_; }
  void set_source(const std::string& source, const std::string& eval_source);

  void freeze_dense(bool frozen);
  void freeze_embedding(const std::string& name, bool frozen);  // empty name: all

  // The first step since forget_divergence() whose loss was not finite, and where that began.
  std::optional<FiniteWatch::Finding> divergence();
  void forget_divergence();
  // What of the dense network or, with `gradients`, of the embeddings' last gradients is not finite; empty
  // when there is nothing.
  std::string not_finite(bool gradients);

  const ModelSpec& spec() const { return spec_; }
  const FileSystem& files() const { return *files_; }  // of data, models and predictions
  RankGroup& ranks() { return *ranks_; }
  uint64_t seed() const { return seed_; }
  int embedding_index(const std::string& name) const;  // throws not_found listing the names
  LoadedKeys& loaded_keys(int e) { return loaded_keys_[static_cast<size_t>(e)]; }

 private:
  void note_lengths(const Batch& batch);

  ModelSpec spec_;
  Files files_;
  ArrowOpener open_arrow_;
  uint64_t seed_;
  std::unique_ptr<RankGroup> ranks_;
  std::unique_ptr<Reader> train_reader_, eval_reader_;
  LabelChecker labels_;
  SlotKeys slot_keys_;
  LearningRateSchedule schedule_;
  float learning_rate_;
  int64_t last_train_rows_ = 0, last_eval_rows_ = 0;
  bool evaluated_ = false;  // evaluate() was called
  std::vector<LoadedKeys> loaded_keys_;
  std::vector<bool> varies_;  // whether the log has said so of a sparse input
};

}  // namespace ctr
