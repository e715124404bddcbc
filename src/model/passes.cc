// SPDX-License-Identifier: Apache-2.0
#include "model/passes.h"

#include <algorithm>
#include <map>

#include "model/graph.h"

namespace ctr {
namespace {

// Who reads a model's tensors, by name.
struct Readers {
  std::map<std::string, int> count;
  std::map<std::string, size_t> last;  // layer

  explicit Readers(const std::vector<LayerSpec>& layers) {
    for (size_t i = 0; i < layers.size(); ++i)
      for (const auto& bottom : layers[i].bottoms) {
        ++count[bottom];
        last[bottom] = i;
      }
  }
  // The layer that alone reads `tensor`, if it has this type.
  const LayerSpec* only(const std::vector<LayerSpec>& layers, const std::string& tensor,
                        std::string_view type) const {
    const auto n = count.find(tensor);
    if (n == count.end() || n->second != 1) return nullptr;
    const LayerSpec& reader = layers[last.at(tensor)];
    return reader.type == type ? &reader : nullptr;
  }
};

LayerSpec fuse_relu(const LayerSpec& inner_product, const LayerSpec& relu) {
  LayerSpec fused{"FusedInnerProduct", inner_product.bottoms, relu.tops, {}};
  for (const ParamDef& def : find_layer(fused.type).params) fused.params.set(def.keyword, def.initial);
  for (const auto& [keyword, value] : inner_product.params.values()) fused.params.set(keyword, value);
  return fused;
}

// An InnerProduct and its ReLU become one layer.
std::vector<LayerSpec> with_fused_relus(const std::vector<LayerSpec>& layers) {
  const Readers readers(layers);
  std::vector<LayerSpec> result;
  std::vector<const LayerSpec*> absorbed;
  for (const LayerSpec& layer : layers) {
    if (std::find(absorbed.begin(), absorbed.end(), &layer) != absorbed.end()) continue;
    const LayerSpec* relu =
        layer.type == "InnerProduct" && layer.bottoms.size() == 1  // a fused layer reads one tensor
            ? readers.only(layers, layer.tops[0], "ReLU")
            : nullptr;
    if (relu) absorbed.push_back(relu);
    result.push_back(relu ? fuse_relu(layer, *relu) : layer);
  }
  return result;
}

// A product with one column is as fast as it reads its factors: it reads the parts of a Concat where they
// are.
std::vector<LayerSpec> without_concats_of_logits(const ModelSpec& spec) {
  const Graph graph = build_graph(spec, rank_batch(spec), false);
  const Readers readers(spec.layers);
  std::vector<LayerSpec> result;
  std::map<std::string, std::vector<std::string>> parts;  // of an absorbed Concat, by top
  for (size_t i = 0; i < spec.layers.size(); ++i) {
    LayerSpec layer = spec.layers[i];
    if (layer.type == "Concat" && layer.bottoms.size() > 1 &&
        graph.nodes[i].shapes.outputs[0].shape.rank() == 2) {
      const LayerSpec* reader = readers.only(spec.layers, layer.tops[0], "InnerProduct");
      if (reader && reader->bottoms.size() == 1 && reader->params.integer("num_output") == 1) {
        parts[layer.tops[0]] = layer.bottoms;
        continue;
      }
    }
    if (const auto found = parts.find(layer.bottoms.empty() ? "" : layer.bottoms[0]); found != parts.end())
      layer.bottoms = found->second;
    result.push_back(std::move(layer));
  }
  return result;
}

}  // namespace

ModelSpec fuse(ModelSpec spec) {
  spec.layers = without_concats_of_logits(spec);
  spec.layers = with_fused_relus(spec.layers);
  return spec;
}

}  // namespace ctr
