// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "model/spec.h"

namespace ctr {

// Adds to a spec what follows from what was written: of each embedding the slots of its input, its optimizer
// and, where an older file gives no workspace, its rows. Everything else takes bound specs.
ModelSpec bind(ModelSpec spec);

}  // namespace ctr
