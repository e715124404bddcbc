// SPDX-License-Identifier: Apache-2.0
#include "model/formats/dense_files.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/log.h"
#include "device/memory.h"
#include "model/formats/arrays.h"
#include "model/formats/state_files.h"

namespace ctr {
namespace {

// Nine digits tell floats apart; a number looks like a real one also to readers that keep the types apart.
std::string to_text(float v) {
  std::string text = fmt::format("{:.9g}", v);
  return text.find_first_of(".e") == std::string::npos ? text + ".0" : text;
}

std::string to_list(const std::vector<float>& values) {
  std::string text;
  for (const float v : values) text += (text.empty() ? "" : ", ") + to_text(v);
  return text;
}

std::vector<size_t> nodes_with_statistics(const Graph& graph) {
  std::vector<size_t> nodes;
  for (size_t i = 0; i < graph.nodes.size(); ++i)
    if (!graph.nodes[i].shapes.states.empty()) nodes.push_back(i);
  return nodes;
}

// No writer of statistics takes more.
int64_t max_statistics_bytes(const Graph& graph) {
  constexpr int64_t kPerLayer = 4096, kPerValue = 128;
  int64_t bytes = kPerLayer;
  for (const size_t i : nodes_with_statistics(graph)) {
    bytes += kPerLayer;
    for (const StateDef& state : graph.nodes[i].shapes.states) bytes += kPerValue * state.shape.numel();
  }
  return bytes;
}

int64_t weight_count(const Graph& graph) {
  int64_t count = 0;
  for (const Node& node : graph.nodes)
    for (const WeightDef& weight : node.shapes.weights) count += weight.shape.numel();
  return count;
}

std::vector<float> read_16_bit(const RandomAccessFile& file, int64_t count) {
  log::info("\"{}\": read as 16-bit values", file.path());
  const std::vector<f16> values = read_array<f16>(file, count);
  std::vector<float> wide;
  wide.reserve(values.size());
  std::transform(values.begin(), values.end(), std::back_inserter(wide), [](f16 v) { return to_float(v); });
  return wide;
}

}  // namespace

std::vector<float> read_dense_weights(const FileSystem& files, const std::string& path, int64_t count) {
  const auto opened = files.open(path);
  const RandomAccessFile& file = *opened;
  if (file.size() != 4 * count)
    fail(ErrorKind::io, "dense weights \"{}\": {} bytes, this model's {} weights need {}", path, file.size(),
         count, 4 * count);
  auto values = read_array<float>(file, count);
  warn_if_not_finite(path, count_not_finite(values));
  return values;
}

Json describe_dense_states(const OptimizerSpec& optimizer, const Graph& graph) {
  Json description = describe_optimizer(optimizer);
  Json& weights = description["weights"] = Json::array();
  for (const Node& node : graph.nodes)
    for (const WeightDef& weight : node.shapes.weights) {
      Json shape = Json::array();
      for (int i = 0; i < weight.shape.rank(); ++i) shape.push_back(weight.shape[i]);
      weights.push_back(std::move(shape));
    }
  return description;
}

std::vector<float> read_dense_optimizer(const FileSystem& files, const std::string& path,
                                        const OptimizerSpec& optimizer, const Graph& graph) {
  const int64_t count = weight_count(graph), wanted = state_count(optimizer.type) * count;
  read_description(files, "dense optimizer states", path, describe_dense_states(optimizer, graph));
  const auto opened = files.open(path);
  const RandomAccessFile& file = *opened;
  const bool exact = file.size() == 4 * wanted, others = !exact && !is_ours(files, path);
  const bool half = others && file.size() == 2 * wanted;
  const bool twice = others && optimizer.type == OptimizerType::adagrad && file.size() == 8 * count;
  if (!exact && !half && !twice)
    fail(ErrorKind::io,
         "dense optimizer states \"{}\": {} bytes, {} with {} weights needs {}; were they saved by another "
         "model or optimizer?",
         path, file.size(), name_of(optimizer.type), count, 4 * wanted);
  if (twice) log::warning("\"{}\": twice the size of AdaGrad's state; using its first half", path);
  auto values = half ? read_16_bit(file, wanted) : read_array<float>(file, wanted);
  for (int s = 0; s < state_count(optimizer.type); ++s)
    check_states(path, optimizer, s,
                 std::span(values).subspan(static_cast<size_t>(s * count), static_cast<size_t>(count)));
  return values;
}

bool has_statistics(const Graph& graph) { return !nodes_with_statistics(graph).empty(); }

void write_statistics(OutputFile& file, const Context& ctx, const Graph& graph, const Weights& weights) {
  std::string text = "{\n  \"layers\": [\n";
  const auto nodes = nodes_with_statistics(graph);
  for (const size_t i : nodes) {
    text += fmt::format("    {{\n      \"type\": \"{}\"", graph.nodes[i].spec.type);
    for (size_t k = 0; k < graph.nodes[i].shapes.states.size(); ++k)
      text += fmt::format(",\n      \"{}\": [{}]", graph.nodes[i].shapes.states[k].name,
                          to_list(to_host(ctx, weights.statistics_of(i)[k])));
    text += fmt::format("\n    }}{}\n", i == nodes.back() ? "" : ",");
  }
  text += "  ]\n}\n";
  file.write(text.data(), text.size());
}

void read_statistics(const FileSystem& files, const std::string& path, const Context& ctx, const Graph& graph,
                     const Weights& weights) {
  const auto nodes = nodes_with_statistics(graph);
  if (nodes.empty()) return;
  if (!files.exists(path)) {
    log::info("no \"{}\": running statistics keep their current values", path);
    return;
  }
  const Json document =
      parse_json(files.read(path, max_statistics_bytes(graph)), ErrorKind::io, fmt::format("\"{}\"", path));
  const bool usable = document.is_object() && document.contains("layers") && document["layers"].is_array();
  if (!usable) fail(ErrorKind::io, "\"{}\": not a statistics file (an object with a list \"layers\")", path);
  const Json& layers = document["layers"];
  if (layers.size() != nodes.size())
    fail(ErrorKind::io, "\"{}\": {} layers, the model has {} with running statistics", path, layers.size(),
         nodes.size());
  std::vector<std::pair<Tensor, std::vector<float>>> loaded;
  for (size_t n = 0; n < nodes.size(); ++n) {
    const Node& node = graph.nodes[nodes[n]];
    const Json type = layers[n].is_object() ? layers[n].value("type", Json()) : Json();
    if (type != node.spec.type)
      fail(ErrorKind::io, "\"{}\": layers[{}].type is {}, {} expects \"{}\"", path, n, type.dump(),
           describe(node.spec), node.spec.type);
    for (size_t k = 0; k < node.shapes.states.size(); ++k) {
      const Tensor& to = weights.statistics_of(nodes[n])[k];
      const std::string& name = node.shapes.states[k].name;
      std::vector<float> values;
      try {
        values = layers[n].at(name).get<std::vector<float>>();
      } catch (const Json::exception&) {
        fail(ErrorKind::io, "\"{}\": layers[{}].{} is missing or not a list of numbers", path, n, name);
      }
      if (static_cast<int64_t>(values.size()) != to.numel())
        fail(ErrorKind::io, "\"{}\": layers[{}].{} has {} values, {} needs {}", path, n, name, values.size(),
             describe(node.spec), to.numel());
      const bool is_variance = name == "var";
      for (size_t i = 0; i < values.size(); ++i)
        if (!std::isfinite(values[i]) || (is_variance && values[i] < 0))
          fail(ErrorKind::io, "\"{}\": layers[{}].{}[{}] is {}, expected a finite {}", path, n, name, i,
               layers[n][name][i].dump(), is_variance ? "number of at least 0" : "32-bit number");
      loaded.emplace_back(to, std::move(values));
    }
  }
  for (const auto& [to, values] : loaded) copy_to_device(ctx, to, values.data());
}

}  // namespace ctr
