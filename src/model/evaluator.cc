// SPDX-License-Identifier: Apache-2.0
#include "model/evaluator.h"

#include <algorithm>

#include "device/memory.h"
#include "kernels/columns.h"

namespace ctr {
namespace {

// The first rows of matrices, side by side.
void append_rows(const Context& ctx, std::span<const Tensor> matrices, int64_t rows, std::vector<float>& to) {
  std::vector<std::vector<float>> values;
  for (const Tensor& t : matrices) values.push_back(to_host(ctx, t));
  for (int64_t r = 0; r < rows; ++r)
    for (size_t m = 0; m < values.size(); ++m) {
      const int64_t columns = matrices[m].shape().last();
      to.insert(to.end(), values[m].begin() + r * columns, values[m].begin() + (r + 1) * columns);
    }
}

}  // namespace

Evaluator::Evaluator(const ModelSpec& spec, const RankParts& parts)
    : spec_(spec),
      parts_(parts),
      forward_(build_graph(spec, spec.solver.batch_size_eval / parts.ctx.world_size, true,
                           parts.ctx.device.backend),
               parts.weights, parts.ctx, false),
      regularizers_(parts.ctx, forward_.graph(), spec.solver.batch_size_eval),
      groups_(spec) {
  for (const auto& def : metric_catalog()) {
    if (!spec.solver.metrics.count(def.name)) continue;
    auto& per_label = metrics_.emplace_back();
    for (size_t l = 0; l < spec.input.labels.size(); ++l)
      per_label.push_back(make_metric(parts.ctx, def.name));
  }
  int64_t clicks = 0;
  for (size_t l = 0; l < regularizers_.labels(); ++l)
    if (is_of_two_classes(l))
      clicks = std::max(clicks, forward_.prediction(l).shape().rows() + forward_.samples());
  clicks_ = Buffer(parts.ctx.device, static_cast<size_t>(clicks) * sizeof(float), "predictions of clicks");
  outputs_.resize(spec.embeddings.size());
  // Sums of 16-bit products come out alike in whole units of rows only.
  constexpr int64_t kUnit = 16;
  for (const int64_t n : batch_sizes(forward_.samples()))
    if (n == forward_.samples() || n % kUnit == 0 || parts.weights.compute_type() == DType::f32)
      sizes_.push_back(n);
  choose_size(forward_.samples());
}

// A model with a layer that depends on the number of samples always runs the whole batch.
bool Evaluator::add_size(int64_t samples) {
  try {
    return forward_.add_size(build_graph(spec_, samples, true, parts_.ctx.device.backend));
  } catch (const Error&) {
    return false;
  }
}

// For at least so many samples.
void Evaluator::choose_size(int64_t samples) {
  const int64_t size = *std::lower_bound(sizes_.begin(), sizes_.end(), samples);
  if (!forward_.choose_size(size)) {
    if (!add_size(size)) sizes_ = {forward_.graph().batch};
    forward_.choose_size(sizes_.size() == 1 ? sizes_[0] : size);
  }
  for (size_t e = 0; e < outputs_.size(); ++e) outputs_[e] = forward_.value(forward_.graph().embeddings[e]);
}

void Evaluator::prepare() {
  for (const int64_t size : std::vector(sizes_)) {
    choose_size(size);
    forward_.run(parts_.ctx);
  }
}

void Evaluator::stage(const Batch& batch) {
  const int64_t ranks = parts_.ctx.world_size;
  choose_size((batch.size + ranks - 1) / ranks);
  parts_.embeddings.stage(parts_.ctx, parts_.input.keys(batch), forward_.samples() * ranks, false);
}

void Evaluator::predict(const Batch& batch) {
  parts_.input.load(parts_.ctx, batch, forward_);
  rows_ = parts_.input.state.rows;
  parts_.input.unpack(parts_.ctx, forward_);
  parts_.embeddings.forward(parts_.ctx, parts_.comm, outputs_);
  forward_.run(parts_.ctx);
}

void Evaluator::evaluate(const Batch& batch) {
  predict(batch);
  regularizers_.compute(parts_.ctx, parts_.weights.memory());
  const auto groups = groups_.of(batch, parts_.input.state.first_sample, rows_);
  for (size_t label = 0; label < regularizers_.labels(); ++label) {
    MetricInput input = metric_input(label);
    input.groups = groups;
    for (auto& metric : metrics_) metric[label]->update(input);
  }
}

bool Evaluator::is_of_two_classes(size_t label) const {
  const Graph& graph = forward_.graph();
  return graph.nodes[static_cast<size_t>(graph.losses[label])].def->is_of_two_classes;
}

MetricInput Evaluator::metric_input(size_t label) {
  Tensor prediction = forward_.prediction(label), truth = forward_.value(forward_.graph().labels[label]);
  if (is_of_two_classes(label)) {
    auto* free = reinterpret_cast<float*>(clicks_.data());
    for (Tensor* t : {&prediction, &truth}) {
      const int64_t rows = t->shape().rows(), last = t->shape().last() - 1;
      const Tensor column(DType::f32, {rows, 1}, free);
      copy_columns(parts_.ctx, *t, column, rows, {last, 0, 1}, false);
      *t = column;
      free += rows;
    }
  }
  MetricInput input;
  input.rows = rows_;
  input.columns = truth.shape().last();
  const auto count = static_cast<size_t>(rows_ * input.columns);
  input.predictions = {prediction.data<float>(), count};
  input.labels = {truth.data<float>(), count};
  input.loss = label_loss(label);
  return input;
}

double Evaluator::label_loss(size_t label) const {
  return to_host(parts_.ctx, forward_.loss(label))[0] + to_host(parts_.ctx, regularizers_.value(label))[0];
}

void Evaluator::reset_metrics() {
  for (auto& metric : metrics_)
    for (auto& label : metric) label->reset();
}

void Evaluator::append_predictions(std::vector<float>& to) const {
  std::vector<Tensor> scores;
  for (size_t label = 0; label < regularizers_.labels(); ++label)
    scores.push_back(forward_.prediction(label));
  append_rows(parts_.ctx, scores, rows_, to);
}

void Evaluator::append_labels(std::vector<float>& to) const {
  std::vector<Tensor> truths;
  for (const int label : forward_.graph().labels) truths.push_back(forward_.value(label));
  append_rows(parts_.ctx, truths, rows_, to);
}

}  // namespace ctr
