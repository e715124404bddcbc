// SPDX-License-Identifier: Apache-2.0
#include "model/passes.h"

#include <map>

#include "layers/layer.h"

namespace ctr {
namespace {

LayerSpec fuse_relu(const LayerSpec& inner_product, const LayerSpec& relu) {
  LayerSpec fused{"FusedInnerProduct", inner_product.bottoms, relu.tops, {}};
  for (const ParamDef& def : find_layer(fused.type).params) fused.params.set(def.keyword, def.initial);
  for (const auto& [keyword, value] : inner_product.params.values()) fused.params.set(keyword, value);
  return fused;
}

}  // namespace

ModelSpec fuse(ModelSpec spec) {
  std::map<std::string, int> uses;
  std::map<std::string, size_t> relu_of;  // by bottom
  for (size_t i = 0; i < spec.layers.size(); ++i) {
    for (const auto& bottom : spec.layers[i].bottoms) ++uses[bottom];
    if (spec.layers[i].type == "ReLU") relu_of[spec.layers[i].bottoms[0]] = i;
  }
  std::vector<LayerSpec> layers;
  std::vector<bool> absorbed(spec.layers.size(), false);
  for (size_t i = 0; i < spec.layers.size(); ++i) {
    if (absorbed[i]) continue;
    const LayerSpec& layer = spec.layers[i];
    const auto relu = layer.type == "InnerProduct" ? relu_of.find(layer.tops[0]) : relu_of.end();
    if (relu == relu_of.end() || uses[layer.tops[0]] != 1) {
      layers.push_back(layer);
      continue;
    }
    absorbed[relu->second] = true;
    layers.push_back(fuse_relu(layer, spec.layers[relu->second]));
  }
  spec.layers = std::move(layers);
  return spec;
}

}  // namespace ctr
