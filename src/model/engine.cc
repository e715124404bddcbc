// SPDX-License-Identifier: Apache-2.0
#include "model/engine.h"

#include <algorithm>
#include <cstdio>
#include <random>

#include "base/log.h"
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

void append_text(const std::string& path, const std::vector<float>& values) {
  std::string text;
  for (const float v : values) text += fmt::format("{:g} ", v);
  std::FILE* file = std::fopen(path.c_str(), "ab");
  if (!file) fail(ErrorKind::io, "cannot open \"{}\" for appending", path);
  const bool written = std::fwrite(text.data(), 1, text.size(), file) == text.size();
  if (std::fclose(file) != 0 || !written) fail(ErrorKind::io, "cannot write to \"{}\"", path);
}

}  // namespace

Engine::Engine(ModelSpec spec, ArrowOpener open_arrow)
    : spec_(std::move(spec)),
      seed_((validate(spec_), begin_model(spec_))),
      ranks_(std::make_unique<RankGroup>(fuse(spec_), seed_)),
      train_reader_(make_reader(train_reader_spec(spec_, seed_, open_arrow))),
      eval_reader_(make_reader(eval_reader_spec(spec_, open_arrow))),
      schedule_(spec_.solver.schedule),
      learning_rate_(spec_.solver.schedule.base_lr),
      loaded_keys_(spec_.embeddings.size()) {
  for (size_t e = 0; e < spec_.embeddings.size(); ++e)
    log::info("max_vocabulary_size_per_gpu_={}", row_capacity(spec_.embeddings[e], 0, ranks_->size()));
}

void Engine::start_reading() {
  train_reader_->start();
  eval_reader_->start();
}

bool Engine::train() {
  if (!train_reader_->started())
    fail(ErrorKind::invalid_argument,
         "train(): data reading has not started; call start_data_reading(), or set_source() of the training "
         "reader");
  const Batch* batch = train_reader_->next();
  if (!batch) return false;
  if (batch->size < batch->capacity) {
    log::info("train drop incomplete batch. batchsize:{}", batch->size);
    return true;
  }
  train_on(*batch);
  return true;
}

void Engine::train_on(const Batch& batch) {
  ranks_->run([&](Rank& rank) { rank.stage(batch, true); });
  ranks_->run([&](Rank& rank) { rank.train(batch, learning_rate_); });
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
  if (batch->size < batch->capacity && spec_.solver.drop_incomplete_eval_batch) {
    log::info("eval drop incomplete batch. batchsize:{}", batch->size);
    last_eval_rows_ = 0;
    return true;
  }
  ranks_->run([&](Rank& rank) { rank.stage(*batch, false); });
  ranks_->run([&](Rank& rank) { rank.evaluate(*batch); });
  return true;
}

double Engine::current_loss() {
  double sum = 0;
  for (int r = 0; r < ranks_->size(); ++r) sum += (*ranks_)[r].loss();
  return sum / ranks_->size();
}

std::vector<std::pair<std::string, double>> Engine::eval_metrics() {
  std::vector<std::pair<std::string, double>> result;
  size_t metric = 0;
  for (const auto& def : metric_catalog()) {
    if (!spec_.solver.metrics.count(def.name)) continue;
    std::vector<double> values(spec_.input.labels.size());
    ranks_->run([&](Rank& rank) {
      for (size_t label = 0; label < values.size(); ++label) {
        const double value = rank.metric_value(metric, label);
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
  for (int r = 0; r < ranks_->size(); ++r) (*ranks_)[r].reset_metrics();
  return result;
}

void Engine::export_predictions(const std::string& prediction_file, const std::string& label_file) {
  if (last_eval_rows_ == 0) {
    log::info("{}. Skip export prediction",
              evaluated_ ? "Reach end of eval dataset" : "Nothing has been evaluated yet");
    return;
  }
  std::vector<float> predictions, labels;
  for (int r = 0; r < ranks_->size(); ++r) (*ranks_)[r].append_predictions(predictions, labels);
  append_text(prediction_file, predictions);
  append_text(label_file, labels);
}

void Engine::set_source(const std::string& source, const std::string& eval_source) {
  require(!spec_.solver.repeat_dataset, "set_source() needs epoch mode: CreateSolver(repeat_dataset=False)");
  spec_.data.sources = {source};
  spec_.data.eval_source = eval_source;
}

void Engine::freeze_dense(bool frozen) {
  for (int r = 0; r < ranks_->size(); ++r) (*ranks_)[r].dense_frozen = frozen;
}

void Engine::freeze_embedding(const std::string& name, bool frozen) {
  const int only = name.empty() ? -1 : embedding_index(name);
  for (int r = 0; r < ranks_->size(); ++r) {
    auto& flags = (*ranks_)[r].embedding_frozen;
    for (size_t e = 0; e < flags.size(); ++e)
      if (only < 0 || static_cast<size_t>(only) == e) flags[e] = frozen;
  }
}

std::string Engine::first_non_finite() {
  std::string name;
  for (int r = 0; r < ranks_->size() && name.empty(); ++r) name = (*ranks_)[r].first_non_finite();
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
