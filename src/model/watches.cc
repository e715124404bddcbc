// SPDX-License-Identifier: Apache-2.0
#include "model/watches.h"

namespace ctr {
namespace {

using Watched = std::vector<FiniteWatch::Watched>;

// The tensors of a network, in the order in which a step fills them.
Watched watched_values(const Forward& network) {
  const Graph& graph = network.graph();
  std::vector<std::string> names(graph.values.size());
  for (size_t v = 0; v < names.size(); ++v) names[v] = fmt::format("the input \"{}\"", graph.values[v].name);
  for (const int v : graph.embeddings)
    names[static_cast<size_t>(v)] =
        fmt::format("the output of embedding \"{}\"", graph.values[static_cast<size_t>(v)].name);
  for (const Node& node : graph.nodes)
    for (const int v : node.outputs)
      names[static_cast<size_t>(v)] = fmt::format("the output of {}", describe(node.spec));
  Watched watched;
  for (size_t v = 0; v < names.size(); ++v)
    if (graph.values[v].storage == static_cast<int>(v))
      watched.push_back({names[v], network.value(static_cast<int>(v))});
  return watched;
}

Watched watched_weights(const Graph& graph, const Weights& weights) {
  Watched watched;
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& node = graph.nodes[i];
    for (size_t k = 0; k < node.shapes.weights.size(); ++k)
      watched.push_back({fmt::format("the {} of {}", node.shapes.weights[k].name, describe(node.spec)),
                         weights.values_of(i)[k]});
    for (size_t k = 0; k < node.shapes.states.size(); ++k)
      watched.push_back({fmt::format("the running {} of {}", node.shapes.states[k].name, describe(node.spec)),
                         weights.statistics_of(i)[k]});
  }
  return watched;
}

}  // namespace

Watches::Watches(const Context& ctx, const Forward& forward, const Backward& backward, const Weights& weights,
                 const Regularizers& regularizers) {
  const Graph& graph = forward.graph();
  const auto name = [&](int value) { return graph.values[static_cast<size_t>(value)].name; };
  std::vector<Tensor> losses;
  Watched values = watched_values(forward);
  for (size_t label = 0; label < graph.labels.size(); ++label) {
    losses.push_back(forward.loss(label));
    losses.push_back(regularizers.value(label));
    values.push_back(
        {fmt::format("the regularizer of label \"{}\"", name(graph.labels[label])), losses.back()});
  }
  step_ = FiniteWatch(ctx, losses, std::move(values));
  weights_ = FiniteWatch(ctx, {}, watched_weights(graph, weights));
  for (const int v : graph.embeddings)
    gradients_.push_back(FiniteWatch(
        ctx, {}, {{fmt::format("the gradient of embedding \"{}\"", name(v)), backward.gradient(v)}}));
}

std::string Watches::look_at(Context& ctx, const FiniteWatch& watch) {
  watch.forget(ctx);
  watch.check(ctx);
  const auto found = watch.finding(ctx);
  return found ? found->name : "";
}

}  // namespace ctr
