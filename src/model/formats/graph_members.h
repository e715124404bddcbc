// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/json.h"

namespace ctr {

// Members of a graph file that has been read which have no meaning in any release, nor in the training files
// before 3.1, have no effect: one warning names them.
void warn_about_unknown_members(const Json& document);

}  // namespace ctr
