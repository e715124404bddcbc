// SPDX-License-Identifier: Apache-2.0
#include "model/engine.h"

#include <algorithm>
#include <limits>
#include <random>

#include "base/checked.h"
#include "base/log.h"
#include "model/bind.h"
#include "model/graph.h"
#include "model/passes.h"
#include "model/readers.h"
#include "model/validate.h"

namespace ctr {
namespace {

uint64_t begin_model(const ModelSpec& spec) {
  log::banner("Model Init");
  if (!spec.name.empty()) log::info("Initialize model: {}", spec.name);
  uint64_t seed = spec.solver.seed;
  if (seed == 0) {
    std::random_device device;
    seed = (static_cast<uint64_t>(device()) << 32 | device()) % 1000000007u + 1;
  }
  log::info("Global seed is {}", seed);
  log::banner("Model Compile");
  log::info("Graph analysis to resolve tensor dependency");
  for (const auto& [tensor, readers] : shared_tensors(spec))
    log::info("Add Slice layer for tensor: {}, creating {} copies", tensor, readers);
  return seed;
}

// Enough digits to tell any two floats apart.
std::string to_text(const std::vector<float>& values) {
  std::string text;
  for (const float v : values) text += fmt::format("{:.9g} ", v);
  return text;
}

}  // namespace

Engine::Engine(ModelSpec spec, Files files, ArrowOpener open_arrow)
    : spec_(bind(std::move(spec))),
      files_(std::move(files)),
      open_arrow_(std::move(open_arrow)),
      seed_((validate(spec_), begin_model(spec_))),
      ranks_(std::make_unique<RankGroup>(fuse(spec_), seed_)),
      train_reader_(make_reader(train_reader_spec(spec_, seed_, files_, open_arrow_))),
      eval_reader_(make_reader(eval_reader_spec(spec_, files_, open_arrow_))),
      labels_(spec_, (*ranks_)[0].graph()),
      slot_keys_(spec_),
      schedule_(spec_.solver.schedule),
      learning_rate_(spec_.solver.schedule.base_lr),
      loaded_keys_(spec_.embeddings.size()),
      varies_(spec_.input.sparse.size()) {
  for (EmbeddingSpec& e : spec_.embeddings) e.counts_states = ranks_->counts_states();
  for (size_t e = 0; e < spec_.embeddings.size(); ++e)
    log::info("max_vocabulary_size_per_gpu_={}", (*ranks_)[0].embeddings().capacity(static_cast<int>(e)));
}

void Engine::start_reading() { start_readers({{train_reader_.get()}, {eval_reader_.get()}}); }

TrainingStep Engine::step() {
  using Kind = TrainingStep::Kind;
  if (!train_reader_->started())
    fail(ErrorKind::invalid_argument,
         "train(): data reading has not started; call start_data_reading(), or set_source() of the training "
         "reader");
  const Batch* batch = train_reader_->next();
  if (!batch) return {Kind::end, 0};
  if (batch->size < batch->capacity && spec_.data.drop_incomplete_train) return {Kind::dropped, batch->size};
  train_on(*batch);
  return {Kind::trained, batch->size};
}

bool Engine::train() {
  const TrainingStep done = step();
  if (done.kind == TrainingStep::Kind::dropped)
    log::info("train drop incomplete batch. batchsize:{}", done.rows);
  return done.kind != TrainingStep::Kind::end;
}

// Of inputs with is_fixed_length, which data need not keep.
void Engine::note_lengths(const Batch& batch) {
  if (batch.size < batch.capacity) return;
  for (size_t i = 0; i < varies_.size(); ++i) {
    const SparseInputSpec& input = spec_.input.sparse[i];
    if (varies_[i] || !input.is_fixed_length || batch.sparse[i].is_full) continue;
    varies_[i] = true;
    log::info("sparse input \"{}\": is_fixed_length is taken as a hint; the data have other numbers of keys",
              input.name);
  }
}

void Engine::train_on(const Batch& batch) {
  note_lengths(batch);
  slot_keys_.look(batch);
  labels_.check_training(batch, train_reader_->source());
  ranks_->run([&](Rank& rank) { rank.trainer().stage(batch); });
  ranks_->run([&](Rank& rank) { rank.train(batch, learning_rate_); });
  last_train_rows_ = batch.size;
}

bool Engine::evaluate() {
  if (!eval_reader_->started())
    fail(ErrorKind::invalid_argument,
         "eval(): data reading has not started; call start_data_reading(), or set_source() of the evaluation "
         "reader");
  const Batch* batch = eval_reader_->next();
  last_eval_rows_ = batch ? batch->size : 0;
  evaluated_ = true;
  if (!batch) return false;
  if (batch->size < batch->capacity && spec_.data.drop_incomplete_eval) {
    log::info("eval drop incomplete batch. batchsize:{}", batch->size);
    last_eval_rows_ = 0;
    return true;
  }
  labels_.check_evaluation(*batch, eval_reader_->source());
  ranks_->run([&](Rank& rank) { rank.evaluator().stage(*batch); });
  ranks_->run([&](Rank& rank) { rank.evaluate(*batch); });
  return true;
}

void Engine::predict(const Batch& batch, std::vector<float>& predictions) {
  last_eval_rows_ = 0;
  evaluated_ = false;
  ranks_->run([&](Rank& rank) { rank.evaluator().stage(batch); });
  ranks_->run([&](Rank& rank) { rank.predict(batch); });
  for (int r = 0; r < ranks_->size(); ++r) (*ranks_)[r].evaluator().append_predictions(predictions);
}

ReaderSpec Engine::prediction_reader_spec() const {
  return ctr::prediction_reader_spec(spec_, files_, open_arrow_);
}

double Engine::current_loss() {
  if (last_train_rows_ == 0) return std::numeric_limits<double>::quiet_NaN();
  double sum = 0;
  for (int r = 0; r < ranks_->size(); ++r) {
    const Trainer& trainer = (*ranks_)[r].trainer();
    sum += trainer.loss() *
           (static_cast<double>(trainer.trained_rows()) / static_cast<double>(last_train_rows_));
  }
  return sum;
}

std::vector<std::pair<std::string, double>> Engine::eval_metrics() {
  std::vector<std::pair<std::string, double>> result;
  size_t metric = 0;
  for (const auto& def : metric_catalog()) {
    if (!spec_.solver.metrics.count(def.name)) continue;
    std::vector<double> values(spec_.input.labels.size());
    ranks_->run([&](Rank& rank) {
      for (size_t label = 0; label < values.size(); ++label) {
        const double value = rank.evaluator().metric_value(metric, label);
        if (rank.context().rank == 0) values[label] = value;
      }
    });
    double mean = 0;
    for (const double v : values) mean += v / static_cast<double>(values.size());
    result.emplace_back(def.name, mean);
    for (size_t label = 0; values.size() > 1 && label < values.size(); ++label)
      result.emplace_back(def.name + ":" + spec_.input.labels[label].name, values[label]);
    ++metric;
  }
  for (int r = 0; r < ranks_->size(); ++r) (*ranks_)[r].evaluator().reset_metrics();
  return result;
}

void Engine::export_predictions(const std::string& prediction_file, const std::string& label_file) {
  if (last_eval_rows_ == 0) {
    log::info("{}. Skip export prediction",
              evaluated_ ? "Reach end of eval dataset" : "Nothing has been evaluated yet");
    return;
  }
  std::vector<float> predictions, labels;
  for (int r = 0; r < ranks_->size(); ++r) {
    (*ranks_)[r].evaluator().append_predictions(predictions);
    (*ranks_)[r].evaluator().append_labels(labels);
  }
  files_->append(prediction_file, to_text(predictions));
  files_->append(label_file, to_text(labels));
}

void Engine::set_source(const std::string& source, const std::string& eval_source) {
  require(!spec_.solver.repeat_dataset, "set_source() needs epoch mode: CreateSolver(repeat_dataset=False)");
  spec_.data.sources = {source};
  spec_.data.eval_source = eval_source;
}

void Engine::set_learning_rate(double lr) {
  learning_rate_ = checked_nonnegative("Model.set_learning_rate(): lr", lr);
}

void Engine::freeze_dense(bool frozen) {
  for (int r = 0; r < ranks_->size(); ++r) (*ranks_)[r].trainer().dense_frozen = frozen;
}

void Engine::freeze_embedding(const std::string& name, bool frozen) {
  const int only = name.empty() ? -1 : embedding_index(name);
  for (int r = 0; r < ranks_->size(); ++r) {
    auto& flags = (*ranks_)[r].trainer().embedding_frozen;
    for (size_t e = 0; e < flags.size(); ++e)
      if (only < 0 || static_cast<size_t>(only) == e) flags[e] = frozen;
  }
}

std::optional<FiniteWatch::Finding> Engine::divergence() {
  std::optional<FiniteWatch::Finding> first;
  for (int r = 0; r < ranks_->size(); ++r)
    if (const auto found = (*ranks_)[r].trainer().divergence();
        found && (!first || found->step < first->step))
      first = found;
  return first;
}

void Engine::forget_divergence() {
  for (int r = 0; r < ranks_->size(); ++r) (*ranks_)[r].trainer().forget_divergence();
}

std::string Engine::not_finite(bool gradients) {
  std::string name;
  for (int r = 0; r < ranks_->size() && name.empty(); ++r)
    name = (*ranks_)[r].trainer().not_finite(gradients);
  return name;
}

int Engine::embedding_index(const std::string& name) const {
  std::vector<std::string> known;
  for (size_t e = 0; e < spec_.embeddings.size(); ++e) {
    if (spec_.embeddings[e].name == name) return static_cast<int>(e);
    known.push_back(spec_.embeddings[e].name);
  }
  fail_unknown("embedding", name, known);
}

}  // namespace ctr
