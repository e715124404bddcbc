// SPDX-License-Identifier: Apache-2.0
#include "model/formats/dense_files.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/log.h"
#include "device/memory.h"
#include "model/formats/arrays.h"
#include "model/formats/state_files.h"

namespace ctr {
namespace {

constexpr int64_t kMaxJsonBytes = int64_t{1} << 30;

std::string fixed_list(const std::vector<float>& values) {
  std::string text;
  for (const float v : values) text += fmt::format("{}{:.6f}", text.empty() ? "" : ", ", v);
  return text;
}

std::vector<size_t> nodes_with_statistics(const Graph& graph) {
  std::vector<size_t> nodes;
  for (size_t i = 0; i < graph.nodes.size(); ++i)
    if (!graph.nodes[i].shapes.states.empty()) nodes.push_back(i);
  return nodes;
}

}  // namespace

std::vector<float> read_dense_weights(const std::string& path, int64_t count) {
  const RandomAccessFile file(path);
  if (file.size() != 4 * count)
    fail(ErrorKind::io, "dense weights \"{}\": {} bytes, this model's {} weights need {}", path, file.size(),
         count, 4 * count);
  auto values = read_array<float>(file, count);
  warn_if_not_finite(path, values);
  return values;
}

std::vector<float> read_dense_optimizer(const std::string& path, const OptimizerSpec& optimizer,
                                        int64_t count) {
  const RandomAccessFile file(path);
  const int64_t wanted = state_count(optimizer.type) * count;
  if (file.size() == 4 * wanted) return read_array<float>(file, wanted);
  if (file.size() == 2 * wanted && may_be_16_bit(path)) {
    std::vector<std::vector<float>> states;
    const std::vector<f16> values = read_array<f16>(file, wanted);
    for (auto first = values.begin(); first != values.end(); first += count)
      std::transform(first, first + count, std::back_inserter(states.emplace_back()),
                     [](f16 v) { return to_float(v); });
    accept_16_bit_states(path, optimizer, states);
    std::vector<float> all;
    for (const auto& state : states) all.insert(all.end(), state.begin(), state.end());
    return all;
  }
  if (optimizer.type == OptimizerType::adagrad && file.size() == 8 * count) {
    log::warning("\"{}\": twice the size of AdaGrad's state; using its first half", path);
    return read_array<float>(file, wanted);
  }
  fail(ErrorKind::io,
       "dense optimizer states \"{}\": {} bytes, {} with {} weights needs {}; were they saved by another "
       "model or optimizer?",
       path, file.size(), name_of(optimizer.type), count, 4 * wanted);
}

bool has_statistics(const Graph& graph) { return !nodes_with_statistics(graph).empty(); }

void write_statistics(OutputFile& file, const Context& ctx, const Graph& graph,
                      const DenseParameters& parameters) {
  std::string text = "{\n  \"layers\": [\n";
  const auto nodes = nodes_with_statistics(graph);
  for (const size_t i : nodes) {
    text += fmt::format("    {{\n      \"type\": \"{}\"", graph.nodes[i].spec.type);
    for (size_t k = 0; k < graph.nodes[i].shapes.states.size(); ++k)
      text += fmt::format(",\n      \"{}\": [{}]", graph.nodes[i].shapes.states[k].name,
                          fixed_list(to_host(ctx, parameters.states_of(i)[k])));
    text += fmt::format("\n    }}{}\n", i == nodes.back() ? "" : ",");
  }
  text += "  ]\n}\n";
  file.write(text.data(), text.size());
}

void read_statistics(const std::string& path, const Context& ctx, const Graph& graph,
                     const DenseParameters& parameters) {
  const auto nodes = nodes_with_statistics(graph);
  if (nodes.empty()) return;
  if (!exists(path)) {
    log::info("no \"{}\": running statistics keep their current values", path);
    return;
  }
  const Json document = Json::parse(read_file(path, kMaxJsonBytes), nullptr, false);
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
      const Tensor& to = parameters.states_of(nodes[n])[k];
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
      loaded.emplace_back(to, std::move(values));
    }
  }
  for (const auto& [to, values] : loaded) copy_to_device(ctx, to, values.data());
}

}  // namespace ctr
