// SPDX-License-Identifier: Apache-2.0
// The members of the document that describes a model, each of them once. An archive that reads fills the
// values from it, one that writes makes it from the values:
//   archive(key, value)         numbers, flags, names, lists and maps of them, enumerations, structs of here
//   archive.real(key, value)    a double with a float's worth of digits, which is what graph files hold
//   archive.path(key, value)    a path, which may be of any bytes
//   archive.params(key, layer)  what the layer's own definition lists
#pragma once

#include "model/spec.h"

namespace ctr {

inline void parse(std::string_view name, DataFormat& value) { value = parse_data_format(name); }
inline void parse(std::string_view name, Combiner& value) { value = parse_combiner(name); }
inline void parse(std::string_view name, OptimizerType& value) { value = parse_optimizer(name); }
inline void parse(std::string_view name, UpdateType& value) { value = parse_update(name); }

template <class Archive>
void members(Archive& archive, SolverSpec& s) {
  archive("seed", s.seed);
  archive("lr", s.schedule.base_lr);
  archive("warmup_steps", s.schedule.warmup_steps);
  archive("decay_start", s.schedule.decay_start);
  archive("decay_steps", s.schedule.decay_steps);
  archive("decay_power", s.schedule.decay_power);
  archive("end_lr", s.schedule.end_lr);
  archive("max_eval_batches", s.max_eval_batches);
  archive("batchsize_eval", s.batch_size_eval);
  archive("batchsize", s.batch_size);
  archive("vvgpu", s.vvgpu);
  archive("repeat_dataset", s.repeat_dataset);
  archive("use_mixed_precision", s.use_mixed_precision);
  archive("mixed_precision_type", s.mixed_precision_type);
  archive("enable_tf32_compute", s.enable_tf32_compute);
  archive("use_cuda_graph", s.use_cuda_graph);
  archive("scaler", s.scaler);
  archive("metrics_spec", s.metrics);
  archive("gauc_input", s.gauc_input);
  archive("gauc_slot", s.gauc_slot);
  archive("i64_input_key", s.i64_input_key);
}

template <class Archive>
void members(Archive& archive, DataSpec& d) {
  archive("data_reader_type", d.format);
  archive("check_sum", d.check_sum);
  archive.path("source", d.sources);
  archive.path("eval_source", d.eval_source);
  archive("num_samples", d.num_samples);
  archive("eval_num_samples", d.eval_num_samples);
  archive("float_label_dense", d.float_label_dense);
  archive("num_workers", d.num_workers);
  archive("slot_size_array", d.slot_size_array);
  archive("shuffle", d.shuffle);
  archive("drop_incomplete_train", d.drop_incomplete_train);
  archive("drop_incomplete_eval", d.drop_incomplete_eval);
}

template <class Archive>
void members(Archive& archive, OptimizerSpec& o) {
  archive("type", o.type);
  archive("update_type", o.update);
  archive.real("beta1", o.beta1);
  archive.real("beta2", o.beta2);
  archive.real("epsilon", o.epsilon);
  archive.real("initial_accu_value", o.initial_accumulator);
  archive.real("momentum_factor", o.momentum);
  archive.real("beta", o.beta);
  archive.real("lambda1", o.lambda1);
  archive.real("lambda2", o.lambda2);
  archive("atomic_update", o.atomic_update);
}

template <class Archive>
void members(Archive& archive, LabelSpec& l) {
  archive("name", l.name);
  archive("dim", l.dim);
  archive("weight", l.weight);
}

template <class Archive>
void members(Archive& archive, SparseInputSpec& s) {
  archive("name", s.name);
  archive("nnz_per_slot", s.nnz_per_slot);
  archive("is_fixed_length", s.is_fixed_length);
  archive("max_keys", s.max_keys);
}

template <class Archive>
void members(Archive& archive, InputSpec& i) {
  archive("labels", i.labels);
  archive("dense_name", i.dense_name);
  archive("dense_dim", i.dense_dim);
  archive("sparse", i.sparse);
}

template <class Archive>
void members(Archive& archive, HybridSpec& h) {
  archive("max_num_frequent_categories", h.max_num_frequent_categories);
  archive("max_num_infrequent_samples", h.max_num_infrequent_samples);
  archive("p_dup_max", h.p_dup_max);
  archive("max_all_reduce_bandwidth", h.max_all_reduce_bandwidth);
  archive("max_all_to_all_bandwidth", h.max_all_to_all_bandwidth);
  archive("efficiency_bandwidth_ratio", h.efficiency_bandwidth_ratio);
  archive("communication_type", h.communication_type);
  archive("hybrid_embedding_type", h.hybrid_embedding_type);
}

template <class Archive>
void members(Archive& archive, DeclaredEmbedding& e) {
  archive("type", e.type);
  archive("name", e.name);
  archive("bottom", e.bottom);
  archive("workspace_size_per_gpu_in_mb", e.workspace_mb);
  archive("max_vocabulary_size_per_gpu", e.rows_of_rank);
  archive("max_vocabulary_size_global", e.rows_of_all);
  archive("embedding_vec_size", e.dim);
  archive("combiner", e.combiner);
  archive("slot_size_array", e.slot_size_array);
  archive("initializer", e.initializer);
  archive("optimizer", e.optimizer);
  archive("hybrid_embedding_param", e.hybrid);
}

template <class Archive>
void members(Archive& archive, LayerSpec& l) {
  archive("type", l.type);
  archive("bottoms", l.bottoms);
  archive("tops", l.tops);
  archive.params("params", l);
}

template <class Archive>
void members(Archive& archive, ModelSpec& m) {
  archive("model_name", m.name);
  archive("solver", m.solver);
  archive("reader", m.data);
  archive("optimizer", m.optimizer);
  archive("input", m.input);
  archive("embeddings", m.declared);
  archive("layers", m.layers);
}

}  // namespace ctr
