// SPDX-License-Identifier: Apache-2.0
#include "layers/params.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/checked.h"
#include "base/log.h"

namespace ctr {
namespace {

// read<T>(value): the JSON value as a parameter of type T; empty when it does not fit.
template <class T>
struct Reader;

template <>
struct Reader<bool> {
  static constexpr std::string_view kName = "a boolean";
  static std::optional<bool> read(const Json& v) {
    return v.is_boolean() ? std::optional(v.get<bool>()) : std::nullopt;
  }
};
template <>
struct Reader<int64_t> {
  static constexpr std::string_view kName = "an integer";
  static std::optional<int64_t> read(const Json& v) {
    const bool fits =
        v.is_number_unsigned() ? std::in_range<int64_t>(v.get<uint64_t>()) : v.is_number_integer();
    return fits ? std::optional(v.get<int64_t>()) : std::nullopt;
  }
};
template <>
struct Reader<double> {
  static constexpr std::string_view kName = "a number";
  static std::optional<double> read(const Json& v) {
    return v.is_number() ? std::optional(v.get<double>()) : std::nullopt;
  }
};
template <>
struct Reader<std::string> {
  static constexpr std::string_view kName = "a name";
  static std::optional<std::string> read(const Json& v) {
    if (!v.is_string()) return std::nullopt;
    const auto text = v.get<std::string>();
    return text == "Non" ? "None" : text;  // how the Python enumerations spell it
  }
};
template <class First, class Second>
struct Reader<std::pair<First, Second>> {
  static constexpr std::string_view kName = "a [begin, end) pair";
  static std::optional<std::pair<First, Second>> read(const Json& v) {
    if (!v.is_array() || v.size() != 2) return std::nullopt;
    const auto first = Reader<First>::read(v[0]);
    const auto second = Reader<Second>::read(v[1]);
    return first && second ? std::optional(std::pair(*first, *second)) : std::nullopt;
  }
};
template <class T>
struct Reader<std::vector<T>> {
  static inline const std::string kName = "a list, each item " + std::string(Reader<T>::kName);
  static std::optional<std::vector<T>> read(const Json& v) {
    if (!v.is_array()) return std::nullopt;
    std::vector<T> items;
    for (const Json& item : v) {
      const auto read = Reader<T>::read(item);
      if (!read) return std::nullopt;
      items.push_back(*read);
    }
    return items;
  }
};

std::string range_of(const ParamDef& def) {
  if (std::isinf(def.max)) return fmt::format("at least {:.10g}", def.min);
  if (std::isinf(def.min)) return fmt::format("at most {:.10g}", def.max);
  return fmt::format("between {:.10g} and {:.10g}", def.min, def.max);
}

// Reals as what the layer computes with.
template <class T>
void narrow(T&, const std::string&) {}
void narrow(double& value, const std::string& what) {
  value = static_cast<double>(checked_float(what, value));
}
void narrow(RealList& values, const std::string& what) {
  for (double& value : values) narrow(value, what);
}

template <class T>
constexpr bool is_list = false;
template <class T>
constexpr bool is_list<std::vector<T>> = true;

template <class T>
void check(const T& value, const Json& given, const ParamDef& def, const std::string& name,
           const std::string& where) {
  if constexpr (std::is_same_v<T, std::string>) {
    if (!def.choices.empty() && std::find(def.choices.begin(), def.choices.end(), value) == def.choices.end())
      fail_unknown(fmt::format("{} of {}:", name, where), value, def.choices);
  } else if constexpr (std::is_same_v<T, TextList>) {
    for (const std::string& item : value) check(item, given, def, name, where);
  } else if constexpr (std::is_arithmetic_v<T>) {
    const auto number = static_cast<double>(value);
    require(number >= def.min && number <= def.max, "{}: {} must be {}, got {}", where, name, range_of(def),
            given.dump());
  }
}

// `v` with the type of the parameter. A list of one stands for its item, as in older files.
ParamValue convert(const Json& v, const ParamDef& def, const std::string& name, const std::string& where) {
  return std::visit(
      [&](const auto& typed) -> ParamValue {
        using T = std::decay_t<decltype(typed)>;
        const bool unwrap = !is_list<T> && v.is_array() && v.size() == 1;
        auto value = Reader<T>::read(unwrap ? v[0] : v);
        require(value.has_value(), "{}: {} must be {}, got {}", where, name, Reader<T>::kName, v.dump());
        narrow(*value, fmt::format("{}: {}", where, name));
        check(*value, unwrap ? v[0] : v, def, name, where);
        return *value;
      },
      def.initial);
}

ParamValue default_of(const ParamDef& def) {
  if (const double* real = std::get_if<double>(&def.initial))
    return static_cast<double>(static_cast<float>(*real));
  return def.initial;
}

const Json* find_path(const Json& entry, const std::string& path) {
  const Json* at = &entry;
  for (size_t begin = 0; begin <= path.size();) {
    const size_t end = std::min(path.find('.', begin), path.size());
    const auto it = at->is_object() ? at->find(path.substr(begin, end - begin)) : at->end();
    if (!at->is_object() || it == at->end()) return nullptr;
    at = &*it;
    begin = end + 1;
  }
  return at;
}

const Json* find_key(const Json& entry, const ParamDef& def) {
  const Json* found = find_path(entry, def.json_path);
  for (const auto& alias : def.json_aliases)
    if (!found) found = find_path(entry, alias);
  return found;
}

bool gate_open(const ParamDef& def, const Params& params) {
  if (def.gate.empty()) return true;
  return def.gate[0] == '!' ? !params.flag(def.gate.substr(1)) : params.flag(def.gate);
}

bool has_key(const ParamDef& def, const Params& params) {
  return def.rule != JsonRule::never && def.rule != JsonRule::presence && gate_open(def, params);
}

void warn_about_idle(const std::vector<ParamDef>& defs, const Json& given, const std::string& where) {
  std::string idle, taken;
  for (const auto& [keyword, value] : given.items())
    if (std::none_of(defs.begin(), defs.end(), [&](const ParamDef& def) { return def.keyword == keyword; }))
      idle += (idle.empty() ? "" : ", ") + keyword;
  if (idle.empty()) return;
  for (const ParamDef& def : defs)
    if (def.rule != JsonRule::never) taken += (taken.empty() ? "it takes " : ", ") + def.keyword;
  log::warn_once(fmt::format("{}: without effect on this layer: {}; {}", where, idle,
                             taken.empty() ? "it takes no keywords" : taken));
}

}  // namespace

Params params_from_keywords(const std::vector<ParamDef>& defs, const Json& given, const std::string& where) {
  warn_about_idle(defs, given, where);
  Params params;
  for (const ParamDef& def : defs) {
    const auto it = given.find(def.keyword);
    const bool set = it != given.end() && !it->is_null();
    params.set(def.keyword, set ? convert(*it, def, def.keyword, where) : default_of(def));
  }
  return params;
}

Json params_to_keywords(const Params& params) {
  Json keywords = Json::object();
  for (const auto& [keyword, value] : params.values())
    std::visit([&, &key = keyword](const auto& v) { keywords[key] = v; }, value);
  return keywords;
}

Params params_from_graph(const std::vector<ParamDef>& defs, const Json& entry, const std::string& where) {
  Params params;
  for (const ParamDef& def : defs) {
    ParamValue value = default_of(def);
    const Json* found = def.json_path.empty() ? nullptr : find_key(entry, def);
    if (def.rule == JsonRule::presence) {
      value = found != nullptr;
    } else if (has_key(def, params)) {
      require(found || def.rule != JsonRule::always, "{}: key \"{}\" is missing", where, def.json_path);
      if (found) value = convert(*found, def, def.json_path, where);
    }
    params.set(def.keyword, std::move(value));
  }
  return params;
}

void params_to_graph(const std::vector<ParamDef>& defs, const Params& params, Json& entry) {
  for (const ParamDef& def : defs) {
    if (!has_key(def, params)) continue;
    const ParamValue& value = params.values().at(def.keyword);
    if (def.rule == JsonRule::if_changed && value == default_of(def)) continue;
    std::string pointer = "/" + def.json_path;
    std::replace(pointer.begin(), pointer.end(), '.', '/');
    std::visit([&](const auto& typed) { entry[Json::json_pointer(pointer)] = typed; }, value);
  }
}

}  // namespace ctr
