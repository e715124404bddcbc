// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <utility>
#include <vector>

#include "base/json.h"
#include "optim/rules.h"

namespace ctr {

// What a file says about an optimizer beside its type: an object with these members.
struct OptimizerKeys {
  const char* object;
  std::vector<std::pair<const char*, double OptimizerSpec::*>> reals;
};
OptimizerKeys keys_of(OptimizerType type);

// Members of a graph file that has been read which have no meaning in any release, nor in the training files
// before 3.1, or none beside the others that are there, have no effect: one warning names them.
void warn_about_unknown_members(const Json& document);

}  // namespace ctr
