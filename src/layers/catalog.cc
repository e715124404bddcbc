// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "layers/layer.h"
#include "layers/list.h"

namespace ctr {

#define DECLARE(layer, kernels) LayerDef layer##_layer();
CTR_LAYERS(DECLARE)

const std::vector<LayerDef>& layer_catalog() {
#define ENTRY(layer, kernels) layer##_layer(),
  static const std::vector<LayerDef> catalog{CTR_LAYERS(ENTRY)};
  return catalog;
}

const LayerDef& find_layer(std::string_view name) {
  std::vector<std::string> known;
  for (const LayerDef& def : layer_catalog()) {
    if (def.name == name || std::find(def.aliases.begin(), def.aliases.end(), name) != def.aliases.end())
      return def;
    known.push_back(def.name);
  }
  fail_unknown("layer type", name, known);
}

void require_equal_shapes(const InferContext& inputs) {
  for (const Shape& x : inputs)
    require(x == inputs[0], "its inputs must have one shape, got {} and {}", to_string(inputs[0]),
            to_string(x));
}

}  // namespace ctr
