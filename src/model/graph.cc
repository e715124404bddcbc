// SPDX-License-Identifier: Apache-2.0
#include "model/graph.h"

#include <algorithm>

#include "embedding/placement.h"

namespace ctr {
namespace {

class GraphBuilder {
 public:
  GraphBuilder(const ModelSpec& spec, int64_t batch, Backend backend) : spec_(spec), backend_(backend) {
    graph_.batch = batch;
  }

  Graph build(bool complete) {
    add_inputs();
    for (size_t i = 0; i < spec_.embeddings.size(); ++i) add_embedding(spec_.embeddings[i]);
    for (size_t i = 0; i < spec_.layers.size(); ++i) add_layer(i);
    bind_losses(complete);
    if (complete) check_complete();
    return std::move(graph_);
  }

 private:
  void add_name(const std::string& name, int value) {
    require(!name.empty(), "a tensor name is empty");
    require(graph_.by_name.emplace(name, value).second, "tensor \"{}\" is defined twice", name);
  }

  int add_value(const std::string& name, const Shape& shape, bool needs_grad) {
    const int id = static_cast<int>(graph_.values.size());
    add_name(name, id);
    graph_.values.push_back({name, shape, id, needs_grad});
    return id;
  }

  Shape batch_of(const char* argument, int64_t width) const {
    return in_context(fmt::format("Input: {}={}", argument, width), [&] {
      return Shape{graph_.batch, width};
    });
  }

  void add_inputs() {
    const InputSpec& input = spec_.input;
    require(!input.labels.empty(), "the model has no Input: add hugectr.Input(...) first");
    for (const auto& label : input.labels) {
      require(label.dim > 0, "label \"{}\": label_dim must be positive, got {}", label.name, label.dim);
      graph_.labels.push_back(add_value(label.name, batch_of("label_dim", label.dim), false));
      graph_.values.back().type = ValueType::f32;
    }
    require(input.dense_dim >= 0 && static_cast<double>(input.dense_dim) <= kMaxExtent,
            "Input: dense_dim={} must be between 0 and {:.0f}", input.dense_dim, kMaxExtent);
    if (input.dense_dim > 0)
      graph_.dense = add_value(input.dense_name, batch_of("dense_dim", input.dense_dim), false);
    for (size_t i = 0; i < input.sparse.size(); ++i)
      for (size_t j = 0; j < i; ++j)
        require(input.sparse[i].name != input.sparse[j].name, "sparse input \"{}\" is defined twice",
                input.sparse[i].name);
  }

  void add_embedding(const EmbeddingSpec& e) {
    std::vector<std::string> known;
    for (const auto& sparse : spec_.input.sparse) known.push_back(sparse.name);
    if (std::find(known.begin(), known.end(), e.bottom) == known.end())
      fail_unknown(fmt::format("sparse input of embedding \"{}\":", e.name), e.bottom, known);
    require_vector_size(fmt::format("embedding \"{}\"", e.name), e.dim);
    const Shape shape = in_context(fmt::format("embedding \"{}\" of {} slots", e.name, e.slots), [&] {
      return Shape{graph_.batch, e.slots, e.dim};
    });
    graph_.embeddings.push_back(add_value(e.name, shape, true));
  }

  int find_bottom(size_t layer, const std::string& name) {
    if (const auto it = graph_.by_name.find(name); it != graph_.by_name.end()) return it->second;
    for (size_t later = layer; later < spec_.layers.size(); ++later) {
      const auto& tops = spec_.layers[later].tops;
      if (std::find(tops.begin(), tops.end(), name) != tops.end())
        fail(ErrorKind::invalid_argument,
             "{}: bottom \"{}\" is only produced later, by {}: a cycle, or layers out of order",
             describe(spec_.layers[layer]), name, describe(spec_.layers[later]));
    }
    require(name != spec_.input.dense_name, "{}: the dense input \"{}\" is empty: dense_dim is 0",
            describe(spec_.layers[layer]), name);
    std::vector<std::string> known;
    for (const auto& value : graph_.values) known.push_back(value.name);
    fail_unknown(fmt::format("bottom of {}:", describe(spec_.layers[layer])), name, known);
  }

  void add_layer(size_t index) {
    Node node;
    node.spec = spec_.layers[index];
    node.def = &find_layer(node.spec.type);
    LayerSpec& spec = node.spec;
    check_arity(node);
    if (node.def->is_loss) set_loss_weight(spec);
    std::vector<Shape> shapes;
    std::vector<ValueType> types;
    bool needs_grad = false;
    for (const auto& bottom : spec.bottoms) {
      const int found = find_bottom(index, bottom);
      if (std::ssize(node.inputs) == node.def->max_inputs) continue;  // a spare name
      node.inputs.push_back(found);
      Value& value = graph_.values[static_cast<size_t>(found)];
      value.consumed = true;
      needs_grad |= value.needs_grad;
      shapes.push_back(value.shape);
      types.push_back(value.type);
    }
    spec.bottoms.resize(node.inputs.size());
    infer(node, {shapes, types, backend_});
    needs_grad |= !node.shapes.weights.empty();
    add_outputs(node, needs_grad);
    graph_.nodes.push_back(std::move(node));
  }

  static void check_arity(const Node& node) {
    const auto n = static_cast<int>(node.spec.bottoms.size());
    const LayerDef& def = *node.def;
    const bool fits = n >= def.min_inputs && (def.max_inputs < 0 || n <= def.max_inputs + def.spare_bottoms);
    if (!fits)
      fail(ErrorKind::invalid_argument, "{}: takes {}{} bottoms, got {}", describe(node.spec), def.min_inputs,
           def.max_inputs < 0                ? " or more"
           : def.max_inputs > def.min_inputs ? fmt::format(" to {}", def.max_inputs)
                                             : "",
           n);
    require(!node.spec.tops.empty(), "{}: needs at least one top name", describe(node.spec));
    for (const auto& top : node.spec.tops)
      require(std::find(node.spec.bottoms.begin(), node.spec.bottoms.end(), top) == node.spec.bottoms.end(),
              "{}: \"{}\" is both bottom and top", describe(node.spec), top);
  }

  void set_loss_weight(LayerSpec& spec) {
    for (const auto& label : spec_.input.labels)
      if (label.name == spec.bottoms.back())
        spec.params.set("loss_weight", static_cast<double>(label.weight));
  }

  static void infer(Node& node, const InferContext& shapes) {
    try {
      node.layer = node.def->create(node.spec.params);
      node.shapes = node.layer->infer(shapes);
    } catch (const Error& e) {
      std::string inputs;
      for (size_t i = 0; i < shapes.size(); ++i)
        inputs += fmt::format("{}\"{}\" {}", i ? ", " : "", node.spec.bottoms[i], to_string(shapes[i]));
      throw Error(e.kind(), fmt::format("{}: {} (bottoms: {})", describe(node.spec), e.what(), inputs));
    }
  }

  void add_outputs(Node& node, bool needs_grad) {
    auto& tops = node.spec.tops;
    if (node.def->is_loss) tops.resize(1), tops.push_back(tops[0] + "_prediction");
    const size_t outputs = node.shapes.outputs.size();
    require(tops.size() >= outputs && tops.size() <= outputs + static_cast<size_t>(node.def->spare_tops),
            "{}: has {} outputs but {} top names", describe(node.spec), outputs, tops.size());
    for (size_t i = 0; i < outputs; ++i) {
      const OutputDef& output = node.shapes.outputs[i];
      const bool has_gradient = output.type == ValueType::compute && !node.def->is_loss;
      const int id = add_value(tops[i], output.shape, needs_grad && has_gradient);
      Value& value = graph_.values[static_cast<size_t>(id)];
      value.type = output.type;
      if (node.shapes.is_view) {
        const Value& viewed = graph_.values[static_cast<size_t>(node.inputs[0])];
        value.storage = viewed.storage;
        value.type = viewed.type;
      }
      value.consumed = node.def->is_loss;
      node.outputs.push_back(id);
    }
    for (size_t i = outputs; i < tops.size(); ++i) add_name(tops[i], node.outputs[0]);
    tops.resize(outputs);
  }

  void bind_losses(bool complete) {
    graph_.losses.assign(graph_.labels.size(), -1);
    for (size_t i = 0; i < graph_.nodes.size(); ++i) {
      const Node& node = graph_.nodes[i];
      if (!node.def->is_loss) continue;
      const auto label = std::find(graph_.labels.begin(), graph_.labels.end(), node.inputs[1]);
      require(label != graph_.labels.end(), "{}: its second bottom must be a label of the Input, got \"{}\"",
              describe(node.spec), node.spec.bottoms[1]);
      int& loss = graph_.losses[static_cast<size_t>(label - graph_.labels.begin())];
      require(loss < 0, "{}: label \"{}\" already has a loss", describe(node.spec), node.spec.bottoms[1]);
      loss = static_cast<int>(i);
    }
    for (size_t i = 0; complete && i < graph_.losses.size(); ++i)
      require(graph_.losses[i] >= 0, "label \"{}\" has no loss layer", spec_.input.labels[i].name);
  }

  // A tensor nobody reads is a mistake in nearly every case; a layer may still leave some of several tops
  // unread.
  void check_complete() const {
    for (const Node& node : graph_.nodes) {
      const bool used = std::any_of(node.outputs.begin(), node.outputs.end(),
                                    [&](int v) { return graph_.values[static_cast<size_t>(v)].consumed; });
      require(used, "{}: its output \"{}\" is used by no layer", describe(node.spec), node.spec.tops[0]);
    }
    for (const int e : graph_.embeddings) {
      const Value& value = graph_.values[static_cast<size_t>(e)];
      require(value.consumed, "embedding \"{}\" is used by no layer", value.name);
    }
  }

  const ModelSpec& spec_;
  Backend backend_;
  Graph graph_;
};

}  // namespace

Graph build_graph(const ModelSpec& spec, int64_t batch, bool complete, Backend backend) {
  return GraphBuilder(spec, batch, backend).build(complete);
}

int64_t rank_batch(const ModelSpec& spec) {
  return std::max<int64_t>(1, spec.solver.batch_size / std::max(1, spec.ranks()));
}

std::map<std::string, int64_t> shared_tensors(const ModelSpec& spec) {
  std::map<std::string, int64_t> consumers;
  for (const auto& layer : spec.layers)
    for (const auto& bottom : layer.bottoms) ++consumers[bottom];
  std::erase_if(consumers, [](const auto& entry) { return entry.second < 2; });
  return consumers;
}

std::vector<LayerSpec> with_branches(const ModelSpec& spec, const Graph& graph) {
  const std::map<std::string, int64_t> shared = shared_tensors(spec);
  std::map<std::string, int64_t> taken;

  std::vector<LayerSpec> result;
  for (LayerSpec layer : spec.layers) {
    for (auto& bottom : layer.bottoms) {
      const auto found = shared.find(bottom);
      if (found == shared.end()) continue;
      const int64_t n = found->second;
      if (!taken.count(bottom)) {
        LayerSpec slice{"Slice", {bottom}, {}, {}};
        for (int64_t i = 0; i < n; ++i) slice.tops.push_back(fmt::format("{}_slice{}", bottom, i));
        for (const ParamDef& def : find_layer("Slice").params) slice.params.set(def.keyword, def.initial);
        slice.params.set("ranges", RangeList(static_cast<size_t>(n), {0, graph.at(bottom).shape.last()}));
        result.push_back(std::move(slice));
      }
      bottom = fmt::format("{}_slice{}", bottom, taken[bottom]++);
    }
    result.push_back(std::move(layer));
  }
  return result;
}

}  // namespace ctr
