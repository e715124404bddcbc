// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "model/spec.h"

namespace ctr {

// Everything that can be wrong with a spec, found before memory is taken. Throws what build_graph() throws,
// and unsupported for features that are not there yet.
void validate(const ModelSpec& spec);

}  // namespace ctr
