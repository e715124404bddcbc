// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/error.h"
#include "base/json.h"

namespace ctr {

using IntList = std::vector<int64_t>;
using RealList = std::vector<double>;
using FlagList = std::vector<bool>;
using TextList = std::vector<std::string>;
using RangeList = std::vector<std::pair<int64_t, int64_t>>;  // half-open [begin, end)
using ParamValue =
    std::variant<bool, int64_t, double, std::string, IntList, RealList, RangeList, FlagList, TextList>;

enum class JsonRule {
  always,      // written whatever its value, required on reading unless `optional`
  optional,    // written always, its default applies when missing
  if_changed,  // written only when it differs from the default
  presence,    // a flag: true when its path is present in the file; the keys it gates write that path
  never,       // not part of the graph file
};

// Largest extent that a keyword may ask for.
inline constexpr double kMaxExtent = 2147483647;

// One keyword of a layer: everything the JSON reader and writer, the Python front and the reference page
// need.
struct ParamDef {
  std::string keyword;    // "num_output", as in DenseLayer(...)
  std::string json_path;  // "fc_param.num_output"; empty for JsonRule::never
  ParamValue initial;     // default, and the type
  JsonRule rule = JsonRule::always;
  std::string doc;
  std::vector<std::string> json_aliases = {};  // older paths accepted on reading
  std::vector<std::string> choices = {};       // of a name, or of each in a list; empty: any
  double min = -std::numeric_limits<double>::infinity(), max = std::numeric_limits<double>::infinity();
  // Keyword of an earlier flag: the key is read and written only when that flag is set ("!flag": not set).
  std::string gate = {};
};

// Values by keyword; only keywords of the layer's own ParamDefs are present, each with its declared type.
class Params {
 public:
  template <class T>
  const T& get(const std::string& keyword) const {
    const auto it = values_.find(keyword);
    const T* value = it == values_.end() ? nullptr : std::get_if<T>(&it->second);
    if (!value) fail(ErrorKind::internal, "parameter \"{}\" is missing or has another type", keyword);
    return *value;
  }
  int64_t integer(const std::string& k) const { return get<int64_t>(k); }
  float real(const std::string& k) const { return static_cast<float>(get<double>(k)); }
  bool flag(const std::string& k) const { return get<bool>(k); }
  const std::string& text(const std::string& k) const { return get<std::string>(k); }

  void set(const std::string& keyword, ParamValue value) { values_[keyword] = std::move(value); }
  const std::map<std::string, ParamValue>& values() const { return values_; }

 private:
  std::map<std::string, ParamValue> values_;
};

// Defaults, overwritten by `given` ({keyword: value}; null: none). Keywords the layer does not take have no
// effect, as in every release, and get one warning. Throws when a value has the wrong type, naming `where`
// (for example `layer "fc1" (InnerProduct)`). Reals pass through float: they are what the layer computes
// with.
Params params_from_keywords(const std::vector<ParamDef>& defs, const Json& given, const std::string& where);
Json params_to_keywords(const Params& params);
// The same from a layer's entry in a graph file. Missing required keys are named with their full path.
Params params_from_graph(const std::vector<ParamDef>& defs, const Json& entry, const std::string& where);
// Adds the layer's keys to its entry of a graph file.
void params_to_graph(const std::vector<ParamDef>& defs, const Params& params, Json& entry);

}  // namespace ctr
