// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "model/spec.h"

namespace ctr {

// What can be said about a spec without building anything. Throws invalid_argument or unsupported.
void validate(const ModelSpec& spec);

}  // namespace ctr
