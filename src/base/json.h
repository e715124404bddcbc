// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "base/error.h"

namespace ctr {

using Json = nlohmann::json;

// Throws `kind` where the text is no JSON, with its line and column. `what` is the file's name for messages.
Json parse_json(const std::string& text, ErrorKind kind, std::string_view what);

}  // namespace ctr
