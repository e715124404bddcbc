// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "layers/layer.h"
#include "model/spec.h"

namespace ctr {

// A named tensor. Views (plain Reshape, full-width Slice) share the storage of the tensor they look at.
struct Value {
  std::string name;
  Shape shape;
  int storage = 0;          // index of the value that owns the memory
  bool needs_grad = false;  // a trainable weight or embedding lies upstream
  ValueType type = ValueType::compute;
  bool consumed = false;
};

struct Node {
  LayerSpec spec;
  const LayerDef* def = nullptr;
  std::unique_ptr<Layer> layer;
  LayerShapes shapes;
  std::vector<int> inputs, outputs;  // values
  bool runs() const { return !shapes.is_view; }
};

// A model's dense network with names bound and shapes known for `batch` samples of one rank. Immutable once
// built.
struct Graph {
  int64_t batch = 0;
  std::vector<Value> values;
  std::vector<Node> nodes;      // in execution order
  std::vector<int> labels;      // values, one per InputSpec::labels
  int dense = -1;               // value, -1 when the model has no dense input
  std::vector<int> embeddings;  // values, one per ModelSpec::embeddings
  std::vector<int> losses;      // nodes, in the order of labels

  std::map<std::string, int> by_name;  // values; a spare top leads to the value that it is another name of

  const Value& at(const std::string& name) const { return values[static_cast<size_t>(by_name.at(name))]; }
};

// Throws invalid_argument or not_found, naming layer and tensor. `complete` also asks for what only a
// finished model has: one loss per label, and no dead layer. `backend`: where it will run.
Graph build_graph(const ModelSpec& spec, int64_t batch, bool complete = true, Backend backend = Backend::cpu);

// Samples of one rank in a training step, at least one: what shapes are known for before there are ranks.
int64_t rank_batch(const ModelSpec& spec);

// Tensors that several layers read, and how many do.
std::map<std::string, int64_t> shared_tensors(const ModelSpec& spec);

// The layers with the copies (Slice) that earlier releases inserted for a tensor consumed several times: what
// summary() and graph files show. `<tensor>_slice0`, `_slice1`, ... in order of consumption.
std::vector<LayerSpec> with_branches(const ModelSpec& spec, const Graph& graph);

}  // namespace ctr
