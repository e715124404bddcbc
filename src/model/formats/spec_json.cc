// SPDX-License-Identifier: Apache-2.0
#include "model/formats/spec_json.h"

#include <nlohmann/json.hpp>
#include <set>

#include "layers/layer.h"
#include "model/formats/json_fit.h"
#include "model/formats/spec_members.h"

namespace ctr {
namespace {

// JSON is UTF-8, a path any bytes: NUL, which no path has, and a character below 0x80 stand for a byte above.
std::string path_of(const std::string& escaped) {
  std::string path;
  for (size_t i = 0; i < escaped.size(); ++i)
    path +=
        escaped[i] == '\0' && i + 1 < escaped.size() ? static_cast<char>(escaped[++i] | 0x80) : escaped[i];
  return path;
}

std::string escaped(const std::string& path) {
  std::string text;
  for (const char c : path) {
    if ((c & 0x80) != 0) text += '\0';
    text += static_cast<char>(c & 0x7f);
  }
  return text;
}

template <class T, class Archive>
concept HasMembers = requires(T& value, Archive& archive) {
  members(archive, value);
};
template <class T>
concept Optional = requires(T& value) {
  value.has_value();
};

// Fills structs from an object; the path leads there from the document's root.
class SpecReader {
 public:
  SpecReader(const Json& object, std::string path) : object_(object), path_(std::move(path)) {
    require(object.is_object(), "{} must be an object, got {}", path_, object.dump());
  }

  template <class T>
  void operator()(const char* key, T& value) {
    if (const Json* found = find(key)) read(*found, at(key), value);
  }

  void real(const char* key, double& value) {
    auto narrow = static_cast<float>(value);
    (*this)(key, narrow);
    value = static_cast<double>(narrow);
  }

  void path(const char* key, std::string& value) {
    (*this)(key, value);
    value = path_of(value);
  }
  void path(const char* key, std::vector<std::string>& values) {
    (*this)(key, values);
    for (std::string& value : values) value = path_of(value);
  }

  void params(const char* key, LayerSpec& layer) {
    static const Json nothing;
    const Json* found = find(key);
    const LayerDef& def =
        in_context(describe(layer), [&]() -> const LayerDef& { return find_layer(layer.type); });
    layer.type = def.name;
    layer.params = params_from_keywords(def.params, found ? *found : nothing, describe(layer));
  }

  // Call it when everything has been asked for.
  void finish() const {
    for (const auto& [key, value] : object_.items())
      if (!known_.count(key)) fail(ErrorKind::internal, "unknown member {}", at(key.c_str()));
  }

 private:
  std::string at(const char* key) const { return path_.empty() ? key : path_ + "." + key; }

  // Null when it is missing or null.
  const Json* find(const char* key) {
    known_.insert(key);
    const auto it = object_.find(key);
    return it == object_.end() || it->is_null() ? nullptr : &*it;
  }

  template <class T>
  static void read(const Json& json, const std::string& path, T& value) {
    if constexpr (std::is_enum_v<T>) {
      std::string name;
      read(json, path, name);
      in_context(path, [&] { parse(name, value); });
    } else if constexpr (HasMembers<T, SpecReader>) {
      SpecReader reader(json, path);
      members(reader, value);
      reader.finish();
    } else if constexpr (Optional<T>) {
      read(json, path, value.emplace());
    } else {
      read_items(json, path, value);
    }
  }

  template <class T>
  static void read_items(const Json& json, const std::string& path, std::vector<T>& values) {
    if constexpr (HasMembers<T, SpecReader>) {
      require(json.is_array(), "{} must be a list, got {}", path, json.dump());
      values.clear();
      for (const Json& item : json) {
        const std::string place = fmt::format("{}[{}]", path, values.size());
        read(item, place, values.emplace_back());
      }
    } else {
      read_plain(json, path, values);
    }
  }
  template <class T>
  static void read_items(const Json& json, const std::string& path, T& value) {
    read_plain(json, path, value);
  }

  template <class T>
  static void read_plain(const Json& json, const std::string& path, T& value) {
    try {
      require(fits<T>(json), "{} is out of range: {}", path, json.dump());
      value = json.get<T>();
    } catch (const Json::exception&) {
      fail(ErrorKind::invalid_argument, "{} has the wrong type: {}", path, json.dump());
    }
  }

  const Json& object_;
  std::string path_;
  std::set<std::string, std::less<>> known_;
};

// Makes an object of a struct.
class SpecWriter {
 public:
  template <class T>
  void operator()(const char* key, T& value) {
    object_[key] = to_json(value);
  }
  void real(const char* key, double value) { object_[key] = value; }
  void path(const char* key, const std::string& value) { object_[key] = escaped(value); }
  void path(const char* key, const std::vector<std::string>& values) {
    Json& list = object_[key] = Json::array();
    for (const std::string& value : values) list.push_back(escaped(value));
  }
  void params(const char* key, const LayerSpec& layer) { object_[key] = params_to_keywords(layer.params); }

  template <class T>
  static Json to_json(T& value) {
    if constexpr (std::is_enum_v<T>) {
      return name_of(value);
    } else if constexpr (HasMembers<T, SpecWriter>) {
      SpecWriter writer;
      members(writer, value);
      return std::move(writer.object_);
    } else if constexpr (Optional<T>) {
      return value ? to_json(*value) : Json();
    } else {
      return items_to_json(value);
    }
  }

 private:
  template <class T>
  static Json items_to_json(std::vector<T>& values) {
    if constexpr (HasMembers<T, SpecWriter>) {
      Json list = Json::array();
      for (T& item : values) list.push_back(to_json(item));
      return list;
    } else {
      return values;
    }
  }
  template <class T>
  static Json items_to_json(T& value) {
    return value;
  }

  Json object_ = Json::object();
};

}  // namespace

ModelSpec spec_from_json(const std::string& text) {
  const Json json = Json::parse(text);
  ModelSpec spec;
  SpecReader reader(json, "");
  members(reader, spec);
  reader.finish();
  return spec;
}

std::string spec_to_json(ModelSpec spec) { return SpecWriter::to_json(spec).dump(); }

}  // namespace ctr
