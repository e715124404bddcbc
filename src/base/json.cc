// SPDX-License-Identifier: Apache-2.0
#include "base/json.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace ctr {

Json parse_json(const std::string& text, ErrorKind kind, std::string_view what) {
  try {
    return Json::parse(text);
  } catch (const Json::parse_error& error) {
    const auto end = text.begin() + static_cast<int64_t>(std::min(error.byte, text.size()));
    const auto line = 1 + std::count(text.begin(), end, '\n');
    const size_t begin = text.rfind('\n', error.byte > 0 ? error.byte - 1 : 0) + 1;  // npos + 1 is 0
    fail(kind, "{}: not valid JSON at line {}, column {} (JSON has no NaN or infinity; brackets must match)",
         what, line, std::max<int64_t>(1, static_cast<int64_t>(error.byte) - static_cast<int64_t>(begin)));
  } catch (const Json::exception&) {  // a number that nothing can hold
    fail(kind, "{}: a number is too large for 64-bit floats", what);
  }
}

}  // namespace ctr
