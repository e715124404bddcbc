// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "model/spec.h"

namespace ctr {

// Inputs, then one row a layer with input names, output names and output shapes.
std::string summary(const ModelSpec& spec);

}  // namespace ctr
