// SPDX-License-Identifier: Apache-2.0
#include "model/formats/graph_json.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/checked.h"
#include "model/formats/graph_members.h"
#include "model/formats/json_fit.h"
#include "model/graph.h"
#include "optim/row_width.h"

namespace ctr {
namespace {

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

Json embedding_entry(const EmbeddingSpec& e, int ranks) {
  Json hparam{{"workspace_size_per_gpu_in_mb", e.workspace_mb},
              {"max_vocabulary_size_global", checked_product(row_capacity(e, 0, ranks), ranks)},
              {"embedding_vec_size", e.dim},
              {"combiner", name_of(e.combiner)}};
  if (!e.slot_size_array.empty()) hparam["slot_size_array"] = e.slot_size_array;
  if (e.initializer != "Default") hparam["initializer"] = e.initializer;
  return {{"type", name_of(e.type)},
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
  // A name that `parse` knows.
  template <class Parse>
  std::string parsed(const char* key, Parse&& parse) const {
    const auto name = get<std::string>(key);
    in_context(fmt::format("graph file: {}.{}", path_, key), [&] { static_cast<void>(parse(name)); });
    return name;
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

std::vector<int64_t> read_nnz(const Entry& sparse, int64_t slots) {
  std::vector<int64_t> nnz;
  if (sparse.has("nnz_per_slot"))
    nnz = sparse.integers("nnz_per_slot");
  else  // releases before 3.1
    nnz = {sparse.get<int64_t>("max_nnz", sparse.get<int64_t>("max_feature_num_per_sample", 1))};
  if (nnz.size() == 1) nnz.resize(static_cast<size_t>(slots), nnz[0]);
  require(static_cast<int64_t>(nnz.size()) == slots,
          "graph file: {}.nnz_per_slot has {} entries for {} slots", sparse.path(), nnz.size(), slots);
  return nnz;
}

Json read_data_entry(const Entry& data) {
  Json labels = Json::array(), sparse_inputs = Json::array();
  const Entry label = data.child("label");
  const auto names = label.names("top");
  const auto dims = label.integers("label_dim");
  require(names.size() == dims.size(), "graph file: {}: {} names but {} dimensions", label.path(),
          names.size(), dims.size());
  for (size_t i = 0; i < names.size(); ++i) labels.push_back({{"name", names[i]}, {"dim", dims[i]}});
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
    sparse_inputs.push_back({{"name", sparse.get<std::string>("top")},
                             {"nnz_per_slot", read_nnz(sparse, slots)},
                             {"is_fixed_length", sparse.flag("is_fixed_length")}});
  }
  const Entry dense = data.child("dense");
  return {{"labels", std::move(labels)},
          {"dense_name", dense.get<std::string>("top")},
          {"dense_dim", dense.get<int64_t>("dense_dim")},
          {"sparse", std::move(sparse_inputs)}};
}

Json read_optimizer_entry(const Entry& optimizer) {
  const auto type = optimizer.parsed("type", parse_optimizer);
  Json result{{"type", type}};
  if (optimizer.has("update_type"))
    result["update_type"] = optimizer.parsed("update_type", parse_update);
  else  // releases before 3.1
    result["update_type"] = optimizer.get<bool>("global_update", false) ? "Global" : "Local";
  OptimizerSpec spec{.type = parse_optimizer(type)};
  const OptimizerKeys keys = keys_of(spec.type);
  if (keys.reals.empty() && !optimizer.has(keys.object)) return result;
  const Entry members = optimizer.child(keys.object);
  for (const auto& [key, value] : keys.reals) result[key] = spec.*value = members.get<double>(key);
  in_context("graph file: " + members.path(), [&] { validate(spec); });
  if (members.has("atomic_update")) result["atomic_update"] = members.get<bool>("atomic_update");
  return result;
}

std::string read_combiner(const Entry& hparam) {
  const Json& combiner = hparam.at("combiner");
  if (!combiner.is_number()) return hparam.parsed("combiner", parse_combiner);
  require(combiner == 0 || combiner == 1, "graph file: {}.combiner must be sum (0) or mean (1), got {}",
          hparam.path(), combiner.dump());
  return combiner == 0 ? "sum" : "mean";
}

// Files of older releases have only a number of rows.
void read_capacity(const Entry& hparam, Json& result) {
  constexpr const char* keys[] = {"workspace_size_per_gpu_in_mb", "max_vocabulary_size_per_gpu",
                                  "max_vocabulary_size_global"};
  bool any = hparam.has("slot_size_array");
  for (const char* key : keys) {
    if (!hparam.has(key)) continue;
    const auto size = hparam.get<int64_t>(key);
    require(size >= 0, "graph file: {}.{} must not be negative, got {}", hparam.path(), key, size);
    result[key] = size;
    any = true;
  }
  require(any, "graph file: {} needs {}, {}, {} or slot_size_array", hparam.path(), keys[0], keys[1],
          keys[2]);
}

Json read_embedding_entry(const Entry& e) {
  const Entry hparam = e.child("sparse_embedding_hparam");
  Json result{{"type", e.parsed("type", parse_embedding_type)},
              {"name", e.get<std::string>("top")},
              {"bottom", e.get<std::string>("bottom")},
              {"embedding_vec_size", hparam.get<int64_t>("embedding_vec_size")},
              {"combiner", read_combiner(hparam)}};
  require(result["embedding_vec_size"] >= 1 && result["embedding_vec_size"] <= kMaxRowWidth,
          "graph file: {}.embedding_vec_size must be 1 to {}, got {}", hparam.path(), kMaxRowWidth,
          result["embedding_vec_size"].dump());
  if (hparam.has("slot_size_array")) result["slot_size_array"] = hparam.integers("slot_size_array");
  if (hparam.has("initializer")) result["initializer"] = hparam.get<std::string>("initializer");
  read_capacity(hparam, result);
  if (e.has("optimizer")) result["optimizer"] = read_optimizer_entry(e.child("optimizer"));
  return result;
}

Json params_as_keywords(const Params& params) {
  Json keywords = Json::object();
  for (const auto& [keyword, value] : params.values())
    std::visit([&, &key = keyword](const auto& v) { keywords[key] = v; }, value);
  return keywords;
}

Json read_layer_entry(const Entry& entry) {
  LayerSpec layer{entry.parsed("type", find_layer), entry.names("bottom"), entry.names("top"), {}};
  const LayerDef& def = find_layer(layer.type);
  layer.type = def.name;
  layer.params = params_from_graph(def.params, entry.json(), entry.path());
  return {{"type", layer.type},
          {"bottoms", layer.bottoms},
          {"tops", layer.tops},
          {"params", params_as_keywords(layer.params)}};
}

bool is_embedding(const Entry& entry) {
  return entry.has("sparse_embedding_hparam") ||
         entry.get<std::string>("type").find("Embedding") != std::string::npos;
}

}  // namespace

std::string graph_to_json(const ModelSpec& spec) {
  const Graph graph = build_graph(spec, rank_batch(spec), false);
  Json layers = Json::array({data_entry(spec.input)});
  for (const auto& e : spec.embeddings) layers.push_back(embedding_entry(e, spec.ranks()));
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

std::string graph_from_json(const std::string& text) {
  const Json document = parse_json(text, ErrorKind::invalid_argument, "graph file");
  require(document.is_object() && document.contains("layers") && document["layers"].is_array() &&
              !document["layers"].empty(),
          "graph file: not a JSON object with a non-empty list \"layers\"");
  const Json& layers = document["layers"];
  const Entry data(layers[0], "layers[0]");
  require(data.get<std::string>("type") == "Data",
          "graph file: layers[0] must have type \"Data\", got \"{}\"", data.get<std::string>("type"));
  Json result{{"input", read_data_entry(data)}, {"embeddings", Json::array()}, {"layers", Json::array()}};
  if (document.contains("model_name")) result["model_name"] = document["model_name"];
  for (size_t i = 1; i < layers.size(); ++i) {
    const Entry entry(layers[i], fmt::format("layers[{}]", i));
    if (!is_embedding(entry)) {
      result["layers"].push_back(read_layer_entry(entry));
      continue;
    }
    require(result["layers"].empty(), "graph file: {} is an embedding after a dense layer", entry.path());
    result["embeddings"].push_back(read_embedding_entry(entry));
  }
  warn_about_unknown_members(document);
  return result.dump();
}

}  // namespace ctr
