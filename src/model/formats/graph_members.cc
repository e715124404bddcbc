// SPDX-License-Identifier: Apache-2.0
#include "model/formats/graph_members.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "base/log.h"
#include "layers/layer.h"

namespace ctr {
namespace {

using Names = std::set<std::string, std::less<>>;

const Names kDocument{"layers", "model_name", "solver", "optimizer", "inference"};
const Names kData{"type",
                  "name",
                  "label",
                  "dense",
                  "sparse",
                  "format",
                  "source",
                  "eval_source",
                  "check",
                  "num_workers",
                  "cache_eval_data",
                  "num_samples",
                  "eval_num_samples",
                  "slot_size_array",
                  "float_label_dense"};
const Names kLabel{"top", "label_dim"};
const Names kDense{"top", "dense_dim"};
const Names kSparse{
    "top", "type", "nnz_per_slot", "slot_num", "max_nnz", "max_feature_num_per_sample", "is_fixed_length"};
const Names kEmbedding{"type", "name", "bottom", "top", "plan_file", "optimizer", "sparse_embedding_hparam"};
const Names kEmbeddingParameters{"workspace_size_per_gpu_in_mb",
                                 "max_vocabulary_size_global",
                                 "max_vocabulary_size_per_gpu",
                                 "embedding_vec_size",
                                 "combiner",
                                 "slot_size_array",
                                 "default_emb_vec_value",
                                 "max_num_frequent_categories",
                                 "max_num_infrequent_samples",
                                 "p_dup_max",
                                 "max_all_reduce_bandwidth",
                                 "max_all_to_all_bandwidth",
                                 "efficiency_bandwidth_ratio",
                                 "use_train_precompute_indices",
                                 "use_eval_precompute_indices",
                                 "communication_type",
                                 "hybrid_embedding_type"};
const Names kOptimizer{"type", "update_type", "global_update"};
const Names kSchedule{"learning_rate", "warmup_steps", "decay_start", "decay_steps", "decay_power", "end_lr"};
const Names kLayer{"type", "name", "bottom", "top"};

class Search {
 public:
  // Members of `object`, if it is one, that are not among `known`.
  void object(const Json& object, const std::string& path, const Names& known) {
    if (!object.is_object()) return;
    for (const auto& [name, value] : object.items())
      if (!known.count(name)) unknown_.push_back(path.empty() ? name : path + "." + name);
  }
  void child(const Json& parent, const std::string& path, const std::string& name, const Names& known) {
    if (const auto it = parent.find(name); it != parent.end()) object(*it, path + "." + name, known);
  }

  void data(const Json& entry, const std::string& path) {
    object(entry, path, kData);
    child(entry, path, "label", kLabel);
    child(entry, path, "dense", kDense);
    const Json& inputs = entry.at("sparse");
    for (size_t i = 0; i < inputs.size(); ++i) {
      Names known = kSparse;
      if (inputs[i].contains("nnz_per_slot")) known.erase("max_nnz");
      if (inputs[i].contains("nnz_per_slot") || inputs[i].contains("max_nnz"))
        known.erase("max_feature_num_per_sample");
      object(inputs[i], fmt::format("{}.sparse[{}]", path, i), known);
    }
  }

  // What other optimizers take is of no effect.
  void optimizer(const Json& entry, const std::string& path) {
    const OptimizerType type = parse_optimizer(entry.at("type").get<std::string>());
    const OptimizerKeys keys = keys_of(type);
    Names known = kOptimizer, parameters = kSchedule;
    known.insert(keys.object);
    if (entry.contains("update_type")) known.erase("global_update");
    for (const auto& [name, value] : keys.reals) parameters.insert(name);
    if (type == OptimizerType::sgd) parameters.insert("atomic_update");
    object(entry, path, known);
    child(entry, path, keys.object, parameters);
  }

  void embedding(const Json& entry, const std::string& path) {
    object(entry, path, kEmbedding);
    child(entry, path, "sparse_embedding_hparam", kEmbeddingParameters);
    if (const auto it = entry.find("optimizer"); it != entry.end() && it->is_object())
      optimizer(*it, path + ".optimizer");
  }

  void layer(const Json& entry, const std::string& path) {
    Names known = kLayer;
    std::map<std::string, Names> objects;
    const auto add = [&](const std::string& where) {
      const size_t dot = where.find('.');
      if (!where.empty()) known.insert(where.substr(0, dot));
      if (dot != std::string::npos) objects[where.substr(0, dot)].insert(where.substr(dot + 1));
    };
    const Json& type = entry.at("type");
    for (const ParamDef& def : find_layer((type.is_array() ? type[0] : type).get<std::string>()).params) {
      add(def.json_path);
      std::for_each(def.json_aliases.begin(), def.json_aliases.end(), add);
    }
    object(entry, path, known);
    for (const auto& [name, members] : objects) child(entry, path, name, members);
  }

  const std::vector<std::string>& unknown() const { return unknown_; }

 private:
  std::vector<std::string> unknown_;
};

}  // namespace

OptimizerKeys keys_of(OptimizerType type) {
  using O = OptimizerSpec;
  switch (type) {
    case OptimizerType::adam:
      return {"adam_hparam", {{"beta1", &O::beta1}, {"beta2", &O::beta2}, {"epsilon", &O::epsilon}}};
    case OptimizerType::adagrad:
      return {"adagrad_hparam", {{"initial_accu_value", &O::initial_accumulator}, {"epsilon", &O::epsilon}}};
    case OptimizerType::momentum_sgd: return {"momentum_sgd_hparam", {{"momentum_factor", &O::momentum}}};
    case OptimizerType::nesterov: return {"nesterov_hparam", {{"momentum_factor", &O::momentum}}};
    case OptimizerType::ftrl:
      return {"ftrl_hparam", {{"beta", &O::beta}, {"lambda1", &O::lambda1}, {"lambda2", &O::lambda2}}};
    case OptimizerType::rmsprop: return {"rmsprop_hparam", {{"beta", &O::beta}, {"epsilon", &O::epsilon}}};
    case OptimizerType::sgd: break;
  }
  return {"sgd_hparam", {}};
}

void warn_about_unknown_members(const Json& document) {
  constexpr size_t kMost = 10;  // named
  Search search;
  search.object(document, "", kDocument);
  const Json& layers = document.at("layers");
  search.data(layers[0], "layers[0]");
  for (size_t i = 1; i < layers.size(); ++i) {
    const std::string path = fmt::format("layers[{}]", i);
    const auto hparam = layers[i].find("sparse_embedding_hparam");
    if (hparam != layers[i].end() && hparam->is_object())
      search.embedding(layers[i], path);
    else
      search.layer(layers[i], path);
  }
  const auto& unknown = search.unknown();
  if (unknown.empty()) return;
  std::string names;
  for (size_t i = 0; i < std::min(unknown.size(), kMost); ++i) names += (i ? ", " : "") + unknown[i];
  if (unknown.size() > kMost) names += fmt::format(" and {} more", unknown.size() - kMost);
  log::warn_once(fmt::format("graph file: members without a meaning have no effect: {}", names));
}

}  // namespace ctr
