// SPDX-License-Identifier: Apache-2.0
#include "model/formats/spec_json.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "base/checked.h"
#include "base/log.h"
#include "embedding/placement.h"
#include "layers/layer.h"
#include "model/formats/json_fit.h"

namespace ctr {
namespace {

// The members of an object, and which of them somebody asked for.
class Members {
 public:
  Members(const Json& object, std::string name) : object_(object), name_(std::move(name)) {}
  // Null when it is missing or null.
  const Json* find(const char* key) const {
    known_.insert(key);
    const auto it = object_.find(key);
    return it == object_.end() || it->is_null() ? nullptr : &*it;
  }
  // An object or a list; null, which is empty as well, when it is missing.
  const Json& part(const char* key) const {
    static const Json nothing;
    const Json* found = find(key);
    return found ? *found : nothing;
  }
  // Call it when everything has been asked for.
  void warn_about_others() const {
    std::string others;
    for (const auto& [key, value] : object_.items())
      if (!known_.count(key)) others += (others.empty() ? "" : ", ") + key;
    if (!others.empty()) log::warn_once(fmt::format("{}: unknown members have no effect: {}", name_, others));
  }

 private:
  const Json& object_;
  std::string name_;
  mutable std::set<std::string, std::less<>> known_;
};

template <class T>
void read(const Members& object, const char* key, T& value) {
  const Json* found = object.find(key);
  if (!found) return;
  try {
    require(fits<T>(*found), "\"{}\" is out of range: {}", key, found->dump());
    value = found->get<T>();
  } catch (const Json::exception&) {
    fail(ErrorKind::invalid_argument, "\"{}\" has the wrong type: {}", key, found->dump());
  }
}

SolverSpec read_solver(const Json& json) {
  const Members j(json, "solver");
  SolverSpec s;
  read(j, "seed", s.seed);
  read(j, "lr", s.schedule.base_lr);
  read(j, "warmup_steps", s.schedule.warmup_steps);
  read(j, "decay_start", s.schedule.decay_start);
  read(j, "decay_steps", s.schedule.decay_steps);
  read(j, "decay_power", s.schedule.decay_power);
  read(j, "end_lr", s.schedule.end_lr);
  read(j, "max_eval_batches", s.max_eval_batches);
  read(j, "batchsize_eval", s.batch_size_eval);
  read(j, "batchsize", s.batch_size);
  read(j, "vvgpu", s.vvgpu);
  read(j, "repeat_dataset", s.repeat_dataset);
  read(j, "use_mixed_precision", s.use_mixed_precision);
  read(j, "mixed_precision_type", s.mixed_precision_type);
  read(j, "enable_tf32_compute", s.enable_tf32_compute);
  read(j, "use_cuda_graph", s.use_cuda_graph);
  read(j, "scaler", s.scaler);
  read(j, "metrics_spec", s.metrics);
  read(j, "gauc_input", s.gauc_input);
  read(j, "gauc_slot", s.gauc_slot);
  read(j, "i64_input_key", s.i64_input_key);
  j.warn_about_others();
  return s;
}

DataFormat parse_format(const std::string& name) {
  if (name == "Norm") return DataFormat::norm;
  if (name == "Raw") return DataFormat::raw;
  if (name == "RawAsync") return DataFormat::raw_async;
  if (name == "Parquet") return DataFormat::parquet;
  fail_unknown("data format", name, {"Norm", "Raw", "RawAsync", "Parquet"});
}

// JSON is UTF-8, a path any bytes: NUL, which no path has, and a character below 0x80 stand for a byte above.
std::string path_of(const std::string& escaped) {
  std::string path;
  for (size_t i = 0; i < escaped.size(); ++i)
    path +=
        escaped[i] == '\0' && i + 1 < escaped.size() ? static_cast<char>(escaped[++i] | 0x80) : escaped[i];
  return path;
}

DataSpec read_data(const Json& json) {
  const Members j(json, "reader");
  DataSpec d;
  std::string format = "Norm", check = "Non";
  read(j, "data_reader_type", format);
  read(j, "check_type", check);
  d.format = parse_format(format);
  d.check_sum = check == "Sum";
  read(j, "source", d.sources);
  read(j, "eval_source", d.eval_source);
  for (std::string& source : d.sources) source = path_of(source);
  d.eval_source = path_of(d.eval_source);
  read(j, "num_samples", d.num_samples);
  read(j, "eval_num_samples", d.eval_num_samples);
  read(j, "float_label_dense", d.float_label_dense);
  read(j, "num_workers", d.num_workers);
  read(j, "slot_size_array", d.slot_size_array);
  read(j, "shuffle", d.shuffle);
  read(j, "drop_incomplete_batch", d.drop_incomplete_train);
  read(j, "drop_incomplete_batch", d.drop_incomplete_eval);
  j.warn_about_others();
  return d;
}

// A float's worth of digits, which is what graph files hold: a model declared in Python and one read back
// compute the same.
void read_float(const Members& object, const char* key, double& value) {
  auto narrow = static_cast<float>(value);
  read(object, key, narrow);
  value = static_cast<double>(narrow);
}

OptimizerSpec read_optimizer(const Json& json) {
  const Members j(json, "optimizer");
  OptimizerSpec o;
  std::string type(name_of(o.type)), update(name_of(o.update));
  read(j, "type", type);
  read(j, "update_type", update);
  o.type = parse_optimizer(type);
  o.update = parse_update(update);
  read_float(j, "beta1", o.beta1);
  read_float(j, "beta2", o.beta2);
  read_float(j, "epsilon", o.epsilon);
  read_float(j, "initial_accu_value", o.initial_accumulator);
  read_float(j, "momentum_factor", o.momentum);
  read_float(j, "beta", o.beta);
  read_float(j, "lambda1", o.lambda1);
  read_float(j, "lambda2", o.lambda2);
  read(j, "atomic_update", o.atomic_update);
  j.warn_about_others();
  in_context("optimizer", [&] { validate(o); });
  return o;
}

LabelSpec read_label(const Json& json) {
  const Members j(json, "label");
  LabelSpec l;
  read(j, "name", l.name);
  read(j, "dim", l.dim);
  read(j, "weight", l.weight);
  j.warn_about_others();
  return l;
}

SparseInputSpec read_sparse_input(const Json& json) {
  const Members j(json, "sparse input");
  SparseInputSpec s;
  read(j, "name", s.name);
  read(j, "nnz_per_slot", s.nnz_per_slot);
  read(j, "is_fixed_length", s.is_fixed_length);
  j.warn_about_others();
  return s;
}

InputSpec read_input(const Json& json) {
  const Members j(json, "input");
  InputSpec input;
  for (const Json& label : j.part("labels")) input.labels.push_back(read_label(label));
  read(j, "dense_name", input.dense_name);
  read(j, "dense_dim", input.dense_dim);
  for (const Json& sparse : j.part("sparse")) input.sparse.push_back(read_sparse_input(sparse));
  j.warn_about_others();
  return input;
}

// Older graph files give rows, of one device or of all, instead of megabytes.
int64_t read_rows(const Members& j, int ranks) {
  int64_t per_rank = 0, global = 0;
  read(j, "max_vocabulary_size_per_gpu", per_rank);
  read(j, "max_vocabulary_size_global", global);
  return std::max(per_rank, checked_sum(global, ranks - 1) / std::max(1, ranks));
}

// Megabytes count: a number of rows beside them that they do not make is of no effect.
void warn_about_rows(const Members& j, const EmbeddingSpec& e) {
  if (e.workspace_mb < 1 || e.dim < 1 || slots_decide(e)) return;
  const int64_t capacity = row_capacity(e, 0, 1);
  int64_t per_rank = capacity, global = capacity;
  read(j, "max_vocabulary_size_per_gpu", per_rank);
  read(j, "max_vocabulary_size_global", global);
  const auto warn = [&](const char* name, int64_t value) {
    log::warn_once(
        fmt::format("embedding \"{}\": {}={} has no effect beside workspace_size_per_gpu_in_mb={}, which "
                    "makes {} rows on a device",
                    e.name, name, value, e.workspace_mb, capacity));
  };
  if (per_rank != capacity) warn("max_vocabulary_size_per_gpu", per_rank);
  if (capacity == 0 || global < capacity || global % capacity != 0)
    warn("max_vocabulary_size_global", global);
}

EmbeddingSpec read_embedding(const Json& json, const ModelSpec& model) {
  const Members j(json, "embedding");
  EmbeddingSpec e;
  std::string type, combiner = "sum";
  read(j, "type", type);
  read(j, "name", e.name);
  read(j, "bottom", e.bottom);
  read(j, "workspace_size_per_gpu_in_mb", e.workspace_mb);
  read(j, "embedding_vec_size", e.dim);
  read(j, "combiner", combiner);
  read(j, "slot_size_array", e.slot_size_array);
  read(j, "initializer", e.initializer);
  in_context(fmt::format("embedding \"{}\"", e.name), [&] {
    e.type = parse_embedding_type(type);
    e.combiner = parse_combiner(combiner);
    const Json* optimizer = j.find("optimizer");
    e.optimizer = optimizer ? read_optimizer(*optimizer) : model.optimizer;
    const int64_t rows = read_rows(j, model.ranks());
    if (e.workspace_mb == 0 && rows > 0) e.workspace_mb = workspace_mb_for(e, rows);
  });
  warn_about_rows(j, e);
  j.warn_about_others();
  for (const auto& sparse : model.input.sparse)
    if (sparse.name == e.bottom) e.slots = sparse.slots(), e.nnz_per_slot = sparse.nnz_per_slot;
  return e;
}

LayerSpec read_layer(const Json& json) {
  const Members j(json, "layer");
  LayerSpec l;
  read(j, "type", l.type);
  read(j, "bottoms", l.bottoms);
  read(j, "tops", l.tops);
  const LayerDef& def = in_context(describe(l), [&]() -> const LayerDef& { return find_layer(l.type); });
  l.type = def.name;
  l.params = params_from_keywords(def.params, j.part("params"), describe(l));
  j.warn_about_others();
  return l;
}

void read_loss_weights(const Json& json, std::vector<LabelSpec>& labels) {
  const Members j(json, "loss_weights");
  for (LabelSpec& label : labels) read(j, label.name.c_str(), label.weight);
  std::vector<std::string> names;
  for (const LabelSpec& label : labels) names.push_back(label.name);
  for (const auto& [name, weight] : json.items())
    if (std::find(names.begin(), names.end(), name) == names.end())
      fail_unknown("label in loss_names", name, names);
}

}  // namespace

ModelSpec spec_from_json(const std::string& text) {
  const Json json = Json::parse(text);
  const Members j(json, "model");
  ModelSpec m;
  read(j, "model_name", m.name);
  m.solver = read_solver(j.part("solver"));
  m.data = read_data(j.part("reader"));
  m.optimizer = read_optimizer(j.part("optimizer"));
  m.input = read_input(j.part("input"));
  for (const Json& e : j.part("embeddings")) m.embeddings.push_back(read_embedding(e, m));
  for (const Json& l : j.part("layers")) m.layers.push_back(read_layer(l));
  read_loss_weights(j.part("loss_weights"), m.input.labels);
  j.warn_about_others();
  return m;
}

}  // namespace ctr
