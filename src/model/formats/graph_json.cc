// SPDX-License-Identifier: Apache-2.0
#include "model/formats/graph_json.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/checked.h"
#include "embedding/placement.h"
#include "model/formats/graph_members.h"
#include "model/formats/json_fit.h"
#include "model/graph.h"

namespace ctr {
namespace {

const std::string kHybrid = "HybridSparseEmbedding", kHierarchical = "IB_NVLink_Hierarchical";

// One name as a string, several as a list.
Json names_to_json(const std::vector<std::string>& names) {
  return names.size() == 1 ? Json(names[0]) : Json(names);
}

Json data_entry(const InputSpec& input) {
  std::vector<std::string> names;
  std::vector<int64_t> dims;
  for (const auto& label : input.labels) names.push_back(label.name), dims.push_back(label.dim);
  Json sparse = Json::array();
  for (const auto& s : input.sparse)
    sparse.push_back({{"top", s.name},
                      {"type", "DistributedSlot"},
                      {"nnz_per_slot", s.nnz_per_slot},
                      {"is_fixed_length", s.is_fixed_length},
                      {"slot_num", s.slots()}});
  return {{"type", "Data"},
          {"label",
           {{"top", names_to_json(names)}, {"label_dim", dims.size() == 1 ? Json(dims[0]) : Json(dims)}}},
          {"dense", {{"top", input.dense_name}, {"dense_dim", input.dense_dim}}},
          {"sparse", std::move(sparse)}};
}

Json optimizer_entry(const OptimizerSpec& o) {
  const OptimizerKeys keys = keys_of(o.type);
  Json members = Json::object();
  for (const auto& [key, value] : keys.reals)
    members[key] = static_cast<double>(static_cast<float>(o.*value));
  if (o.type == OptimizerType::sgd) members["atomic_update"] = o.atomic_update;
  return {{"type", name_of(o.type)}, {"update_type", name_of(o.update)}, {keys.object, std::move(members)}};
}

void add_hybrid(const HybridSpec& h, Json& hparam) {
  hparam.update({{"max_num_frequent_categories", h.max_num_frequent_categories},
                 {"max_num_infrequent_samples", h.max_num_infrequent_samples},
                 {"p_dup_max", h.p_dup_max},
                 {"max_all_reduce_bandwidth", h.max_all_reduce_bandwidth},
                 {"max_all_to_all_bandwidth", h.max_all_to_all_bandwidth},
                 {"efficiency_bandwidth_ratio", h.efficiency_bandwidth_ratio},
                 {"communication_type",
                  h.communication_type == "IB_NVLink_Hier" ? kHierarchical : h.communication_type},
                 {"hybrid_embedding_type", h.hybrid_embedding_type}});
}

Json embedding_entry(const DeclaredEmbedding& declared, const EmbeddingSpec& e, int ranks) {
  const int64_t rows = row_capacity(e, 0, ranks);
  Json hparam{{"workspace_size_per_gpu_in_mb", e.rows > 0 ? workspace_mb_for(e, rows) : e.workspace_mb},
              {"max_vocabulary_size_global", checked_product(rows, ranks)},
              {"embedding_vec_size", e.dim},
              {"combiner", name_of(e.combiner)}};
  if (!e.slot_size_array.empty()) hparam["slot_size_array"] = e.slot_size_array;
  if (e.initializer != "Default") hparam["initializer"] = e.initializer;
  if (declared.type == kHybrid) add_hybrid(declared.hybrid.value_or(HybridSpec{}), hparam);
  return {{"type", declared.type},
          {"bottom", e.bottom},
          {"top", e.name},
          {"sparse_embedding_hparam", std::move(hparam)},
          {"optimizer", optimizer_entry(e.optimizer)}};
}

// Reads members of one entry; errors give the full path, as in `layers[3].fc_param.num_output`.
class Entry {
 public:
  Entry(const Json& json, std::string path) : json_(json), path_(std::move(path)) {
    require(json_.is_object(), "graph file: {} must be an object", path_);
  }
  bool has(const char* key) const { return json_.contains(key) && !json_[key].is_null(); }
  const Json& at(const char* key) const {
    if (!has(key)) fail(ErrorKind::invalid_argument, "graph file: {}.{} is missing", path_, key);
    return json_[key];
  }
  Entry child(const char* key) const { return {at(key), path_ + "." + key}; }
  template <class T>
  T get(const char* key) const {
    const Json* value = &at(key);
    if (value->is_array() && value->size() == 1 && !std::is_same_v<T, std::vector<int64_t>>)
      value = &(*value)[0];
    return convert<T>(key, *value);
  }
  // What `parse` makes of a name.
  template <class Parse>
  decltype(auto) parsed(const char* key, Parse&& parse) const {
    const auto name = get<std::string>(key);
    return in_context(fmt::format("graph file: {}.{}", path_, key),
                      [&]() -> decltype(auto) { return parse(name); });
  }
  template <class T>
  T get(const char* key, T missing) const {
    return has(key) ? get<T>(key) : missing;
  }
  // A boolean, also as older files write it; false where it is missing.
  bool flag(const char* key) const {
    const Json value = has(key) ? at(key) : Json(false);
    require(value.is_boolean() || value == 0 || value == 1,
            "graph file: {}.{} must be true, false, 1 or 0, got {}", path_, key, value.dump());
    return value == true || value == 1;
  }
  // A name or a list of names.
  std::vector<std::string> names(const char* key) const {
    return at(key).is_array() ? convert<std::vector<std::string>>(key, at(key))
                              : std::vector{get<std::string>(key)};
  }
  std::vector<int64_t> integers(const char* key) const {
    return at(key).is_array() ? convert<std::vector<int64_t>>(key, at(key)) : std::vector{get<int64_t>(key)};
  }
  const Json& json() const { return json_; }
  const std::string& path() const { return path_; }

 private:
  template <class T>
  T convert(const char* key, const Json& value) const {
    try {
      require(fits<T>(value), "graph file: {}.{} must be an integer of at most 64 bits, got {}", path_, key,
              value.dump());
      return value.get<T>();
    } catch (const Json::exception&) {
      fail(ErrorKind::invalid_argument, "graph file: {}.{} has the wrong type: {}", path_, key, value.dump());
    }
  }
  const Json& json_;
  std::string path_;
};

// Releases before 3.1 bounded a sample, and a slot at as much unless they said less.
void read_nnz_of_3_0(const Entry& sparse, int64_t slots, SparseInputSpec& input) {
  const auto of_slot = sparse.get<int64_t>("max_nnz", 0);
  const auto of_sample = sparse.get<int64_t>("max_feature_num_per_sample", 0);
  require(of_slot >= 0 && of_sample >= 0,
          "graph file: {}: max_nnz and max_feature_num_per_sample must be positive", sparse.path());
  const int64_t nnz = std::max<int64_t>(1, of_slot > 0 ? of_slot : of_sample / slots);
  input.nnz_per_slot.assign(static_cast<size_t>(slots), nnz);
  input.max_keys = std::max(slots, of_sample > 0 ? of_sample : checked_product(nnz, slots));
}

// A list of equal numbers is what was written of one number, too, and that is a bound of the whole sample.
void read_nnz(const Entry& sparse, int64_t slots, SparseInputSpec& input) {
  if (!sparse.has("nnz_per_slot")) return read_nnz_of_3_0(sparse, slots, input);
  input.nnz_per_slot = sparse.integers("nnz_per_slot");
  auto& nnz = input.nnz_per_slot;
  if (nnz.size() == 1) nnz.resize(static_cast<size_t>(slots), nnz[0]);
  require(static_cast<int64_t>(nnz.size()) == slots,
          "graph file: {}.nnz_per_slot has {} entries for {} slots", sparse.path(), nnz.size(), slots);
  if (std::all_of(nnz.begin(), nnz.end(), [&](int64_t n) { return n == nnz[0]; }))
    input.max_keys = checked_product(nnz[0], slots);
}

InputSpec read_data_entry(const Entry& data) {
  InputSpec input;
  const Entry label = data.child("label");
  const auto names = label.names("top");
  const auto dims = label.integers("label_dim");
  require(names.size() == dims.size(), "graph file: {}: {} names but {} dimensions", label.path(),
          names.size(), dims.size());
  for (size_t i = 0; i < names.size(); ++i) input.labels.push_back({names[i], dims[i]});
  const Json& list = data.at("sparse");
  require(list.is_array(), "graph file: {}.sparse must be a list", data.path());
  int64_t room = kMaxSlots;
  for (size_t i = 0; i < list.size(); ++i) {
    const Entry sparse(list[i], fmt::format("{}.sparse[{}]", data.path(), i));
    const auto slots = sparse.get<int64_t>("slot_num");
    require(slots > 0 && slots <= room,
            "graph file: {}.slot_num must be positive, and at most {} in all, got {}", sparse.path(),
            kMaxSlots, slots);
    room -= slots;
    if (sparse.has("type")) sparse.get<std::string>("type");  // of no effect since 3.1
    SparseInputSpec& made = input.sparse.emplace_back();
    made.name = sparse.get<std::string>("top");
    made.is_fixed_length = sparse.flag("is_fixed_length");
    read_nnz(sparse, slots, made);
  }
  const Entry dense = data.child("dense");
  input.dense_name = dense.get<std::string>("top");
  input.dense_dim = dense.get<int64_t>("dense_dim");
  return input;
}

OptimizerSpec read_optimizer_entry(const Entry& optimizer) {
  OptimizerSpec spec;
  spec.type = optimizer.parsed("type", parse_optimizer);
  if (optimizer.has("update_type"))
    spec.update = optimizer.parsed("update_type", parse_update);
  else  // releases before 3.1
    spec.update = optimizer.get<bool>("global_update", false) ? UpdateType::global : UpdateType::local;
  const OptimizerKeys keys = keys_of(spec.type);
  if (keys.reals.empty() && !optimizer.has(keys.object)) return spec;
  const Entry members = optimizer.child(keys.object);
  for (const auto& [key, value] : keys.reals) spec.*value = members.get<double>(key);
  in_context("graph file: " + members.path(), [&] { validate(spec); });
  spec.atomic_update = members.get<bool>("atomic_update", true);
  return spec;
}

Combiner read_combiner(const Entry& hparam) {
  const Json& combiner = hparam.at("combiner");
  if (!combiner.is_number()) return hparam.parsed("combiner", parse_combiner);
  require(combiner == 0 || combiner == 1, "graph file: {}.combiner must be sum (0) or mean (1), got {}",
          hparam.path(), combiner.dump());
  return combiner == 0 ? Combiner::sum : Combiner::mean;
}

// Files of older releases have only a number of rows.
void read_capacity(const Entry& hparam, DeclaredEmbedding& e) {
  const std::pair<const char*, int64_t*> sizes[] = {{"workspace_size_per_gpu_in_mb", &e.workspace_mb},
                                                    {"max_vocabulary_size_per_gpu", &e.rows_of_rank},
                                                    {"max_vocabulary_size_global", &e.rows_of_all}};
  bool any = hparam.has("slot_size_array");
  for (const auto& [key, size] : sizes) {
    if (!hparam.has(key)) continue;
    *size = hparam.get<int64_t>(key);
    require(*size >= 0, "graph file: {}.{} must not be negative, got {}", hparam.path(), key, *size);
    any = true;
  }
  require(any, "graph file: {} needs {}, {}, {} or slot_size_array", hparam.path(), sizes[0].first,
          sizes[1].first, sizes[2].first);
}

HybridSpec read_hybrid(const Entry& hparam) {
  HybridSpec h;
  h.max_num_frequent_categories = hparam.get("max_num_frequent_categories", h.max_num_frequent_categories);
  h.max_num_infrequent_samples = hparam.get("max_num_infrequent_samples", h.max_num_infrequent_samples);
  h.p_dup_max = hparam.get("p_dup_max", h.p_dup_max);
  h.max_all_reduce_bandwidth = hparam.get("max_all_reduce_bandwidth", h.max_all_reduce_bandwidth);
  h.max_all_to_all_bandwidth = hparam.get("max_all_to_all_bandwidth", h.max_all_to_all_bandwidth);
  h.efficiency_bandwidth_ratio = hparam.get("efficiency_bandwidth_ratio", h.efficiency_bandwidth_ratio);
  h.communication_type = hparam.get("communication_type", h.communication_type);
  if (h.communication_type == kHierarchical) h.communication_type = "IB_NVLink_Hier";
  h.hybrid_embedding_type = hparam.get("hybrid_embedding_type", h.hybrid_embedding_type);
  return h;
}

DeclaredEmbedding read_embedding_entry(const Entry& entry) {
  const Entry hparam = entry.child("sparse_embedding_hparam");
  DeclaredEmbedding e;
  e.type = entry.get<std::string>("type");
  entry.parsed("type", parse_embedding_type);
  e.name = entry.get<std::string>("top");
  e.bottom = entry.get<std::string>("bottom");
  e.dim = hparam.get<int64_t>("embedding_vec_size");
  require_vector_size("graph file: " + hparam.path(), e.dim);
  e.combiner = read_combiner(hparam);
  if (hparam.has("slot_size_array")) e.slot_size_array = hparam.integers("slot_size_array");
  if (hparam.has("initializer")) e.initializer = hparam.get<std::string>("initializer");
  read_capacity(hparam, e);
  if (entry.has("optimizer")) e.optimizer = read_optimizer_entry(entry.child("optimizer"));
  if (e.type == kHybrid) e.hybrid = read_hybrid(hparam);
  return e;
}

LayerSpec read_layer_entry(const Entry& entry) {
  const LayerDef& def = entry.parsed("type", find_layer);
  return {def.name, entry.names("bottom"), entry.names("top"),
          params_from_graph(def.params, entry.json(), entry.path())};
}

bool is_embedding(const Entry& entry) {
  return entry.has("sparse_embedding_hparam") ||
         entry.get<std::string>("type").find("Embedding") != std::string::npos;
}

}  // namespace

std::string graph_to_json(const ModelSpec& spec) {
  const Graph graph = build_graph(spec, rank_batch(spec), false);
  Json layers = Json::array({data_entry(spec.input)});
  for (size_t i = 0; i < spec.embeddings.size(); ++i)
    layers.push_back(embedding_entry(spec.declared[i], spec.embeddings[i], spec.ranks()));
  for (const LayerSpec& layer : with_branches(spec, graph)) {
    Json entry{
        {"type", layer.type}, {"bottom", names_to_json(layer.bottoms)}, {"top", names_to_json(layer.tops)}};
    params_to_graph(find_layer(layer.type).params, layer.params, entry);
    layers.push_back(std::move(entry));
  }
  Json document{{"layers", std::move(layers)}};
  if (!spec.name.empty()) document["model_name"] = spec.name;
  return document.dump(2);
}

ModelSpec graph_from_json(const std::string& text) {
  const Json document = parse_json(text, ErrorKind::invalid_argument, "graph file");
  require(document.is_object() && document.contains("layers") && document["layers"].is_array() &&
              !document["layers"].empty(),
          "graph file: not a JSON object with a non-empty list \"layers\"");
  const Json& layers = document["layers"];
  const Entry data(layers[0], "layers[0]");
  require(data.get<std::string>("type") == "Data",
          "graph file: layers[0] must have type \"Data\", got \"{}\"", data.get<std::string>("type"));
  ModelSpec spec;
  spec.input = read_data_entry(data);
  for (size_t i = 1; i < layers.size(); ++i) {
    const Entry entry(layers[i], fmt::format("layers[{}]", i));
    if (!is_embedding(entry)) {
      spec.layers.push_back(read_layer_entry(entry));
      continue;
    }
    require(spec.layers.empty(), "graph file: {} is an embedding after a dense layer", entry.path());
    spec.declared.push_back(read_embedding_entry(entry));
  }
  warn_about_unknown_members(document);
  return spec;
}

}  // namespace ctr
