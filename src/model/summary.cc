// SPDX-License-Identifier: Apache-2.0
#include "model/summary.h"

#include <algorithm>

#include "model/graph.h"

namespace ctr {
namespace {

constexpr int kFirst = 40, kOther = 30;

// (None, 26, 16): the batch is whatever is fed.
std::string shape_text(const Shape& shape, int64_t batch) {
  std::string text = "(";
  for (int i = 0; i < shape.rank(); ++i) {
    const bool batch_extent = i == 0 && shape[0] == batch;
    text += (i ? ", " : "") + (batch_extent ? "None" : std::to_string(shape[i]));
  }
  return text + ")";
}

std::string rule(char c, int columns) {
  return std::string(static_cast<size_t>(kFirst + columns * kOther), c) + "\n";
}

std::string row(const std::string& first, const std::vector<std::string>& others) {
  std::string text = fmt::format("{:<{}}", first, kFirst);
  for (const auto& other : others) text += fmt::format("{:<{}}", other, kOther);
  return text + "\n";
}

std::string inputs_part(const InputSpec& input) {
  std::string labels, label_shapes, sparse;
  for (const auto& l : input.labels) {
    labels += (labels.empty() ? "" : ",") + l.name;
    label_shapes += fmt::format("{}(None, {})", label_shapes.empty() ? "" : ",", l.dim);
  }
  for (const auto& s : input.sparse) sparse += (sparse.empty() ? "" : ",") + s.name;
  return row("label", {"Dense", "Sparse"}) + row(labels, {input.dense_name, sparse}) +
         row(label_shapes, {fmt::format("(None, {})", input.dense_dim), ""});
}

}  // namespace

std::string summary(const ModelSpec& spec) {
  require(spec.layers.size() >= 2, "summary(): the model needs an Input and at least two layers");
  const int64_t batch = spec.solver.batch_size;
  const Graph graph = build_graph(spec, batch, false);

  std::string text = inputs_part(spec.input) + rule('-', 3);
  text += row("Layer Type", {"Input Name", "Output Name", "Output Shape"}) + rule('-', 3);
  auto add_rows = [&](const std::string& type, const std::vector<std::string>& in,
                      const std::vector<std::string>& out, const std::vector<std::string>& out_shapes) {
    auto at = [](const std::vector<std::string>& names, size_t i) {
      return i < names.size() ? names[i] : "";
    };
    for (size_t i = 0; i < std::max(in.size(), out.size()); ++i)
      text += row(i == 0 ? type : "", {at(in, i), at(out, i), at(out_shapes, i)});
    text += rule('-', 3);
  };
  for (const auto& e : spec.declared)
    add_rows(e.type, {e.bottom}, {e.name}, {shape_text(graph.at(e.name).shape, batch)});
  for (const LayerSpec& layer : with_branches(spec, graph)) {
    const bool is_loss = find_layer(layer.type).is_loss;
    std::vector<std::string> out_shapes;
    for (const auto& top : layer.tops) {
      const size_t branch = top.rfind("_slice");  // a branch has the shape of the tensor it copies
      const std::string& name = graph.by_name.count(top) ? top : top.substr(0, branch);
      out_shapes.push_back(is_loss ? "" : shape_text(graph.at(name).shape, batch));
    }
    add_rows(layer.type, layer.bottoms, layer.tops, out_shapes);
  }
  return text;
}

}  // namespace ctr
