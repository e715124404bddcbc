// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "model/spec.h"

namespace ctr {

// The document the Python front hands over: {"model_name", "solver", "reader", "optimizer", "input",
// "embeddings", "layers", "loss_weights"}, members named as the arguments of the public interface. Missing
// members keep defaults. In a path, NUL and a character stand for the byte that is 0x80 more.
ModelSpec spec_from_json(const std::string& text);

}  // namespace ctr
