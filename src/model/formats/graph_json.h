// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "model/spec.h"

namespace ctr {

// The graph file of a model: `layers` (Data, embeddings, dense layers with the automatic Slice layers) and
// `model_name`. Sorted keys, two-space indent, no trailing newline. Takes a bound spec.
std::string graph_to_json(const ModelSpec& spec);

// Input, embeddings and layers of a model that is not bound yet, from the text of a graph file of any
// release. Unknown keys get a warning; a missing required key is named with its full path.
ModelSpec graph_from_json(const std::string& text);

}  // namespace ctr
