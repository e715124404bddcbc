// SPDX-License-Identifier: Apache-2.0
#include "model/formats/dense_files.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>

#include "base/log.h"
#include "device/memory.h"

namespace ctr {
namespace {

constexpr int64_t kMaxJsonBytes = int64_t{1} << 30;

template <class T>
std::vector<T> read_values(const RandomAccessFile& file, int64_t count) {
  std::vector<T> values(static_cast<size_t>(count));
  const size_t bytes = values.size() * sizeof(T);
  if (file.read_at(0, values.data(), bytes) != bytes)
    fail(ErrorKind::io, "\"{}\": truncated while it was read", file.path());
  return values;
}

void warn_if_not_finite(const std::string& path, const std::vector<float>& values) {
  const auto bad = std::count_if(values.begin(), values.end(), [](float v) { return !std::isfinite(v); });
  if (bad) log::warning("\"{}\": {} values are NaN or infinite", path, bad);
}

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
  auto values = read_values<float>(file, count);
  warn_if_not_finite(path, values);
  return values;
}

std::vector<float> read_dense_optimizer(const std::string& path, const OptimizerSpec& optimizer,
                                        int64_t count) {
  const RandomAccessFile file(path);
  const int64_t wanted = state_count(optimizer.type) * count;
  if (file.size() == 4 * wanted) return read_values<float>(file, wanted);
  if (file.size() == 2 * wanted) {
    std::vector<float> values;
    for (const f16 v : read_values<f16>(file, wanted)) values.push_back(to_float(v));
    return values;
  }
  if (optimizer.type == OptimizerType::adagrad && file.size() == 8 * count) {
    log::warning("\"{}\": twice the size of AdaGrad's state; using its first half", path);
    return read_values<float>(file, wanted);
  }
  fail(ErrorKind::io,
       "dense optimizer states \"{}\": {} bytes, {} with {} weights needs {} (f32) or {} (f16)", path,
       file.size(), name_of(optimizer.type), count, 4 * wanted, 2 * wanted);
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

void write_steps(OutputFile& file, int64_t step, const std::vector<int64_t>& rows) {
  file.write(&step, sizeof step);
  file.write(rows.data(), rows.size() * sizeof(int64_t));
}

std::vector<int64_t> read_steps(const std::string& path) {
  if (!exists(path)) return {};
  const RandomAccessFile file(path);
  if (file.size() == 0 || file.size() % 8 != 0)
    fail(ErrorKind::io, "step counters \"{}\": {} bytes, expected a multiple of 8", path, file.size());
  return read_values<int64_t>(file, file.size() / 8);
}

}  // namespace ctr
