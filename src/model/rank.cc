// SPDX-License-Identifier: Apache-2.0
#include "model/rank.h"

#include <algorithm>
#include <cmath>

#include "device/memory.h"
#include "kernels/convert.h"
#include "optim/dense_update.h"

namespace ctr {
namespace {

using Watched = std::vector<FiniteWatch::Watched>;

// The tensors of a network, in the order in which a step fills them.
Watched watched_values(const Network& network) {
  const Graph& graph = network.graph();
  std::vector<std::string> names(graph.values.size());
  for (size_t v = 0; v < names.size(); ++v) names[v] = fmt::format("the input \"{}\"", graph.values[v].name);
  for (const int v : graph.embeddings)
    names[static_cast<size_t>(v)] =
        fmt::format("the output of embedding \"{}\"", graph.values[static_cast<size_t>(v)].name);
  for (const Node& node : graph.nodes)
    for (const int v : node.outputs)
      names[static_cast<size_t>(v)] = fmt::format("the output of {}", describe(node.spec));
  Watched watched;
  for (size_t v = 0; v < names.size(); ++v)
    if (graph.values[v].storage == static_cast<int>(v))
      watched.push_back({names[v], network.value(static_cast<int>(v))});
  return watched;
}

Watched watched_weights(const Graph& graph, const DenseParameters& parameters) {
  Watched watched;
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& node = graph.nodes[i];
    for (size_t k = 0; k < node.shapes.weights.size(); ++k)
      watched.push_back({fmt::format("the {} of {}", node.shapes.weights[k].name, describe(node.spec)),
                         parameters.weights_of(i)[k]});
    for (size_t k = 0; k < node.shapes.states.size(); ++k)
      watched.push_back({fmt::format("the running {} of {}", node.shapes.states[k].name, describe(node.spec)),
                         parameters.states_of(i)[k]});
  }
  return watched;
}

Context make_context(Device device, const Stream& stream, uint64_t seed, const Comm& comm, int threads,
                     bool tf32, const Buffer& step) {
  Context ctx;
  ctx.device = device;
  ctx.stream = stream.handle();
  ctx.threads = threads;
  ctx.seed = seed;
  ctx.rank = comm.rank();
  ctx.world_size = comm.size();
  ctx.tf32 = tf32;
  ctx.step = reinterpret_cast<const StepState*>(step.data());
  return ctx;
}

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

// The dense input takes a detour where it is not stored as it comes.
bool stages_dense(const Network& network) {
  const int dense = network.graph().dense;
  if (dense < 0) return false;
  const Tensor to = network.value(dense);
  return to.dtype() != DType::f32 || !to.is_packed();
}

std::vector<Tensor> embedding_tensors(const Network& network, bool gradients) {
  std::vector<Tensor> tensors;
  for (const int v : network.graph().embeddings)
    tensors.push_back(gradients ? network.gradient(v) : network.value(v));
  return tensors;
}

}  // namespace

Rank::Rank(const ModelSpec& spec, uint64_t seed, Device device, DType compute, std::unique_ptr<Comm> comm,
           int threads)
    : spec_(spec),
      stream_(device),
      device_step_(device, sizeof(StepState), "step state"),
      ctx_(
          make_context(device, stream_, seed, *comm, threads, spec.solver.enable_tf32_compute, device_step_)),
      comm_(std::move(comm)),
      train_graph_(build_graph(spec, spec.solver.batch_size / ctx_.world_size, true, device.backend)),
      parameters_(ctx_, train_graph_, spec.optimizer, compute),
      train_(std::move(train_graph_), parameters_, ctx_, true),
      evaluate_(build_graph(spec, spec.solver.batch_size_eval / ctx_.world_size, true, device.backend),
                parameters_, ctx_, false),
      embeddings_(make_embedding_group(ctx_, spec.embeddings,
                                       std::max(spec.solver.batch_size, spec.solver.batch_size_eval))),
      regularizers_(regularizers_of(train_.graph())),
      groups_(spec),
      keys_(spec.embeddings.size()) {
  if (stages_dense(train_) || stages_dense(evaluate_))
    dense_staging_ = Buffer(
        ctx_.device,
        sizeof(float) * static_cast<size_t>(spec.input.dense_dim *
                                            std::max(spec.solver.batch_size, spec.solver.batch_size_eval)),
        "dense input");
  step_.loss_scale = spec.solver.use_mixed_precision ? spec.solver.scaler : 1.0f;
  for (size_t i = 0; i < 2 * regularizers_.size(); ++i) regularizer_values_.add(DType::f32, {1});
  regularizer_values_.allocate(ctx_.device);
  embedding_frozen.assign(spec.embeddings.size(), false);
  for (const auto& e : spec.embeddings)
    for (size_t i = 0; i < spec.input.sparse.size(); ++i)
      if (spec.input.sparse[i].name == e.bottom) sparse_of_embedding_.push_back(i);
  for (const auto& def : metric_catalog()) {
    if (!spec.solver.metrics.count(def.name)) continue;
    auto& per_label = metrics_.emplace_back();
    for (size_t l = 0; l < spec.input.labels.size(); ++l) per_label.push_back(make_metric(ctx_, def.name));
  }
  train_outputs_ = embedding_tensors(train_, false);
  train_d_outputs_ = embedding_tensors(train_, true);
  evaluate_outputs_ = embedding_tensors(evaluate_, false);
  watch();
  if (ctx_.rank == 0) start_profile();
}

void Rank::watch() {
  std::vector<Tensor> losses;
  Watched values = watched_values(train_);
  for (size_t label = 0; label < regularizers_.size(); ++label) {
    losses.push_back(train_.loss(label));
    losses.push_back(regularizer_values_[static_cast<int>(label)]);
    values.push_back(
        {fmt::format("the regularizer of label \"{}\"", spec_.input.labels[label].name), losses.back()});
  }
  step_watch_ = FiniteWatch(ctx_, losses, std::move(values));
  weights_watch_ = FiniteWatch(ctx_, {}, watched_weights(train_.graph(), parameters_));
  for (size_t e = 0; e < spec_.embeddings.size(); ++e)
    gradient_watches_.push_back(FiniteWatch(
        ctx_, {},
        {{fmt::format("the gradient of embedding \"{}\"", spec_.embeddings[e].name), train_d_outputs_[e]}}));
}

std::string Rank::not_finite(bool gradients) {
  std::vector<const FiniteWatch*> watches = {&weights_watch_};
  for (size_t e = 0; gradients && e < gradient_watches_.size(); ++e)
    if (!embedding_frozen[e]) watches.push_back(&gradient_watches_[e]);
  for (const FiniteWatch* watch : watches) {
    watch->forget(ctx_);
    watch->check(ctx_);
    if (const auto found = watch->finding(ctx_)) return found->name;
  }
  return "";
}

void Rank::start_profile() {
  profile_ = Profile::from_environment();
  if (!profile_) return;
  double vectors = 0;  // bytes of one vector per key and slot, a lower bound of what a pass touches
  for (const Tensor& t : train_outputs_) vectors += 2.0 * static_cast<double>(t.bytes());
  profile_->add_row("keys", "row lookup", 0, 0);
  profile_->add_row("embeddings", "gather / row update", 0, vectors);
  profile_->add_row("optimizer", "dense update", 0, static_cast<double>(parameters_.weights().bytes()));
  train_.add_rows(*profile_);
}

void Rank::stage(const Batch& batch, bool training) {
  for (size_t e = 0; e < keys_.size(); ++e) keys_[e] = &batch.sparse[sparse_of_embedding_[e]];
  measured(training ? profile_.get() : nullptr, ctx_, kLookup, Profile::Phase::forward,
           [&] { embeddings_->stage(ctx_, keys_, batch.capacity, training); });
}

// Brings a batch and the state of the step to the device: what a recorded step finds there.
void Rank::load(const Batch& batch, const Network& network) {
  const Graph& graph = network.graph();
  step_.batch = graph.batch;
  step_.first_sample = ctx_.rank * graph.batch;
  step_.global_rows = batch.size;
  step_.rows = std::clamp<int64_t>(batch.size - step_.first_sample, 0, graph.batch);
  load_labels(batch, network);
  load_dense(batch, network);
  memory_backend(ctx_.device).copy_to_device(ctx_, device_step_.data(), &step_, sizeof(step_));
}

void Rank::forward(const Network& network, bool training) {
  Profile* profile = training ? profile_.get() : nullptr;
  if (stages_dense(network)) {
    const Tensor dense = network.value(network.graph().dense);
    convert(ctx_, staging_of(dense), dense);
  }
  measured(profile, ctx_, kEmbeddings, Profile::Phase::forward,
           [&] { embeddings_->forward(ctx_, *comm_, training ? train_outputs_ : evaluate_outputs_); });
  network.forward(ctx_, profile);
}

void Rank::load_dense(const Batch& batch, const Network& network) {
  const int dense = network.graph().dense;
  if (dense < 0) return;
  const Tensor& to = network.value(dense);
  const float* from = batch.dense.data() + step_.first_sample * spec_.input.dense_dim;
  copy_to_device(ctx_, stages_dense(network) ? staging_of(to) : to, from);
}

// Each label is a range of columns of the batch's label rows.
void Rank::load_labels(const Batch& batch, const Network& network) {
  const int64_t width = spec_.input.label_dim();
  int64_t column = 0;
  for (const int label : network.graph().labels) {
    const Tensor& to = network.value(label);
    const int64_t rows = to.shape()[0], columns = to.shape()[1];
    const float* from = batch.labels.data() + step_.first_sample * width + column;
    if (columns != width) {
      label_staging_.resize(static_cast<size_t>(rows * columns));
      for (int64_t r = 0; r < rows; ++r)
        std::copy_n(from + r * width, columns, label_staging_.data() + r * columns);
      from = label_staging_.data();
    }
    copy_to_device(ctx_, to, from);
    column += columns;
  }
}

void Rank::compute_regularizers(const Network& network) {
  const size_t first = &network == &train_ ? 0 : regularizers_.size();
  for (size_t label = 0; label < regularizers_.size(); ++label)
    if (regularizers_[label].lambda != 0)
      regularizer_value(ctx_, parameters_.weights(), regularizer_values_[static_cast<int>(first + label)],
                        regularizers_[label], network.graph().batch * ctx_.world_size);
}

double Rank::label_loss(const Network& network, size_t label) const {
  const size_t first = &network == &train_ ? 0 : regularizers_.size();
  return to_host(ctx_, network.loss(label))[0] +
         to_host(ctx_, regularizer_values_[static_cast<int>(first + label)])[0];
}

double Rank::loss() const {
  double sum = 0;
  for (size_t label = 0; label < regularizers_.size(); ++label) sum += label_loss(train_, label);
  return sum;
}

void Rank::train(const Batch& batch, float lr) {
  step_.learning_rate = lr;
  trained_since_evaluation_ = true;
  if (!dense_frozen) ++step_.dense_step;
  load(batch, train_);
  trained_rows_ = step_.rows;
  const Recorded now{embeddings_->generation(), dense_frozen, embedding_frozen};
  if (std::exchange(recorded_, now) != now) step_graph_.reset();
  if (spec_.solver.use_cuda_graph && !profile_)
    step_graph_.run(ctx_, [this] { train_step(); });
  else
    train_step();
  ++step_.step;
}

// Everything in it is the same from step to step: what changes is in device memory.
void Rank::train_step() {
  forward(train_, true);
  compute_regularizers(train_);
  train_.backward(ctx_, profile_.get());
  {
    const Aside aside(ctx_, Lane::gradients);
    step_watch_.check(ctx_);
    measured(profile_.get(), ctx_, kDenseUpdate, Profile::Phase::backward, [&] { update_dense(); });
  }
  measured(profile_.get(), ctx_, kEmbeddings, Profile::Phase::backward,
           [&] { embeddings_->backward(ctx_, *comm_, train_d_outputs_, embedding_frozen); });
  join_aside(ctx_, Lane::gradients);
  if (profile_) profile_->finish_step();
}

void Rank::update_dense() {
  if (dense_frozen || parameters_.count() == 0) return;
  const Tensor gradients = parameters_.gradients();
  comm_->all_reduce_sum(ctx_, gradients);
  for (const RegularizerTerm& term : regularizers_)
    if (term.lambda != 0)
      regularizer_gradient(ctx_, parameters_.weights(), gradients, term,
                           train_.graph().batch * ctx_.world_size);
  dense_update(ctx_, parameters_.weights(), gradients, parameters_.optimizer_states(), spec_.optimizer,
               parameters_.copies());
}

// Ranks see different rows: all evaluate with the statistics of rank 0, which are the ones that are saved.
void Rank::share_statistics() {
  if (const Tensor statistics = parameters_.running_statistics(); statistics.numel() > 0)
    comm_->broadcast(ctx_, statistics, 0);
}

void Rank::evaluate(const Batch& batch) {
  if (std::exchange(trained_since_evaluation_, false)) share_statistics();
  load(batch, evaluate_);
  evaluated_rows_ = step_.rows;
  forward(evaluate_, false);
  compute_regularizers(evaluate_);
  const auto groups = groups_.of(batch, step_.first_sample, step_.rows);
  for (size_t label = 0; label < regularizers_.size(); ++label) {
    const Tensor prediction = evaluate_.prediction(label);
    const Tensor truth = evaluate_.value(evaluate_.graph().labels[label]);
    MetricInput input;
    input.rows = step_.rows;
    input.columns = truth.shape()[1];
    input.predictions = {prediction.data<float>(),
                         static_cast<size_t>(input.rows * prediction.shape().last())};
    input.labels = {truth.data<float>(), static_cast<size_t>(input.rows * input.columns)};
    input.loss = label_loss(evaluate_, label);
    input.groups = groups;
    for (auto& metric : metrics_) metric[label]->update(input);
  }
}

void Rank::reset_metrics() {
  for (auto& metric : metrics_)
    for (auto& label : metric) label->reset();
}

void Rank::append_predictions(std::vector<float>& predictions, std::vector<float>& labels) const {
  std::vector<Tensor> scores, truths;
  for (size_t label = 0; label < regularizers_.size(); ++label) {
    scores.push_back(evaluate_.prediction(label));
    truths.push_back(evaluate_.value(evaluate_.graph().labels[label]));
  }
  append_rows(ctx_, scores, evaluated_rows_, predictions);
  append_rows(ctx_, truths, evaluated_rows_, labels);
}

}  // namespace ctr
