// SPDX-License-Identifier: Apache-2.0
#include "model/formats/spec_json.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "embedding/placement.h"
#include "layers/layer.h"
#include "model/formats/json_fit.h"

namespace ctr {
namespace {

template <class T>
void read(const Json& object, const char* key, T& value) {
  const auto it = object.find(key);
  if (it == object.end() || it->is_null()) return;
  try {
    require(fits<T>(*it), "\"{}\" is out of range: {}", key, it->dump());
    value = it->get<T>();
  } catch (const Json::exception&) {
    fail(ErrorKind::invalid_argument, "\"{}\" has the wrong type: {}", key, it->dump());
  }
}

SolverSpec read_solver(const Json& j) {
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
  read(j, "i64_input_key", s.i64_input_key);
  return s;
}

DataFormat parse_format(const std::string& name) {
  if (name == "Norm") return DataFormat::norm;
  if (name == "Raw") return DataFormat::raw;
  if (name == "RawAsync") return DataFormat::raw_async;
  if (name == "Parquet") return DataFormat::parquet;
  fail_unknown("data format", name, {"Norm", "Raw", "RawAsync", "Parquet"});
}

DataSpec read_data(const Json& j) {
  DataSpec d;
  std::string format = "Norm", check = "Non";
  read(j, "data_reader_type", format);
  read(j, "check_type", check);
  d.format = parse_format(format);
  d.check_sum = check == "Sum";
  read(j, "source", d.sources);
  read(j, "eval_source", d.eval_source);
  read(j, "num_samples", d.num_samples);
  read(j, "eval_num_samples", d.eval_num_samples);
  read(j, "float_label_dense", d.float_label_dense);
  read(j, "num_workers", d.num_workers);
  read(j, "slot_size_array", d.slot_size_array);
  read(j, "shuffle", d.shuffle);
  read(j, "drop_incomplete_batch", d.drop_incomplete_train);
  read(j, "drop_incomplete_batch", d.drop_incomplete_eval);
  return d;
}

// A float's worth of digits, which is what graph files hold: a model declared in Python and one read back
// compute the same.
void read_float(const Json& object, const char* key, double& value) {
  auto narrow = static_cast<float>(value);
  read(object, key, narrow);
  value = static_cast<double>(narrow);
}

OptimizerSpec read_optimizer(const Json& j) {
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
  read(j, "atomic_update", o.atomic_update);
  return o;
}

InputSpec read_input(const Json& j) {
  InputSpec input;
  for (const Json& label : j.value("labels", Json::array())) {
    LabelSpec l;
    read(label, "name", l.name);
    read(label, "dim", l.dim);
    read(label, "weight", l.weight);
    input.labels.push_back(l);
  }
  read(j, "dense_name", input.dense_name);
  read(j, "dense_dim", input.dense_dim);
  for (const Json& sparse : j.value("sparse", Json::array())) {
    SparseInputSpec s;
    read(sparse, "name", s.name);
    read(sparse, "nnz_per_slot", s.nnz_per_slot);
    read(sparse, "is_fixed_length", s.is_fixed_length);
    input.sparse.push_back(s);
  }
  return input;
}

// Older graph files give rows, of one device or of all, instead of megabytes.
int64_t read_rows(const Json& j, int ranks) {
  int64_t per_rank = 0, global = 0;
  read(j, "max_vocabulary_size_per_gpu", per_rank);
  read(j, "max_vocabulary_size_global", global);
  return std::max(per_rank, (global + ranks - 1) / std::max(1, ranks));
}

EmbeddingSpec read_embedding(const Json& j, const ModelSpec& model) {
  EmbeddingSpec e;
  std::string type, combiner = "sum";
  read(j, "type", type);
  read(j, "name", e.name);
  read(j, "bottom", e.bottom);
  read(j, "workspace_size_per_gpu_in_mb", e.workspace_mb);
  read(j, "embedding_vec_size", e.dim);
  read(j, "combiner", combiner);
  read(j, "slot_size_array", e.slot_size_array);
  e.type = in_context(fmt::format("embedding \"{}\"", e.name), [&] { return parse_embedding_type(type); });
  e.combiner = parse_combiner(combiner);
  const auto optimizer = j.find("optimizer");
  const bool own = optimizer != j.end() && !optimizer->is_null();
  e.optimizer = own ? read_optimizer(*optimizer) : model.optimizer;
  if (const int64_t rows = read_rows(j, model.ranks())) e.workspace_mb = workspace_mb_for(e, rows);
  for (const auto& sparse : model.input.sparse)
    if (sparse.name == e.bottom) e.slots = sparse.slots(), e.nnz_per_slot = sparse.nnz_per_slot;
  return e;
}

LayerSpec read_layer(const Json& j) {
  LayerSpec l;
  read(j, "type", l.type);
  read(j, "bottoms", l.bottoms);
  read(j, "tops", l.tops);
  const LayerDef& def = in_context(describe(l), [&]() -> const LayerDef& { return find_layer(l.type); });
  l.type = def.name;
  l.params = params_from_keywords(def.params, j.value("params", Json::object()), describe(l));
  return l;
}

}  // namespace

ModelSpec spec_from_json(const std::string& text) {
  const Json j = Json::parse(text);
  ModelSpec m;
  read(j, "model_name", m.name);
  m.solver = read_solver(j.value("solver", Json::object()));
  m.data = read_data(j.value("reader", Json::object()));
  m.optimizer = read_optimizer(j.value("optimizer", Json::object()));
  m.input = read_input(j.value("input", Json::object()));
  for (const Json& e : j.value("embeddings", Json::array())) m.embeddings.push_back(read_embedding(e, m));
  for (const Json& l : j.value("layers", Json::array())) m.layers.push_back(read_layer(l));
  const Json weights = j.value("loss_weights", Json::object());
  for (const auto& [name, weight] : weights.items()) {
    bool known = false;
    for (auto& label : m.input.labels)
      if (label.name == name) {
        label.weight = weight.get<float>();
        known = true;
      }
    if (!known) {
      std::vector<std::string> names;
      for (const auto& label : m.input.labels) names.push_back(label.name);
      fail_unknown("label in loss_names", name, names);
    }
  }
  return m;
}

}  // namespace ctr
