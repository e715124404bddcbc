// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "model/spec.h"

namespace ctr {

// The graph file of a model: `layers` (Data, embeddings, dense layers with the automatic Slice layers) and
// `model_name`. Sorted keys, two-space indent, no trailing newline.
std::string graph_to_json(const ModelSpec& spec);

// {"model_name", "input", "embeddings", "layers"} of a spec_from_json() document, from the text of a graph
// file of any release. Unknown keys are ignored; a missing required key is named with its full path.
std::string graph_from_json(const std::string& text);

}  // namespace ctr
