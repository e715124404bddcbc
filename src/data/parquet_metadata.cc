// SPDX-License-Identifier: Apache-2.0
#include "data/parquet_metadata.h"

#include <algorithm>
#include <initializer_list>
#include <limits>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "base/json.h"
#include "base/log.h"

namespace ctr {
namespace {

std::string base_name(const std::string& path) { return path.substr(path.rfind('/') + 1); }

const Json& list_of(const Json& root, const char* key, const std::string& path) {
  const auto it = root.is_object() ? root.find(key) : root.end();
  if (it == root.end() || !it->is_array()) fail(ErrorKind::io, "\"{}\": no list \"{}\"", path, key);
  return *it;
}

int64_t count_of(const Json& entry, const char* key, const std::string& where) {
  const auto it = entry.is_object() ? entry.find(key) : entry.end();
  if (it == entry.end()) fail(ErrorKind::io, "{}: no \"{}\"", where, key);
  const bool whole = it->is_number_unsigned()
                         ? it->get<uint64_t>() <= uint64_t{std::numeric_limits<int64_t>::max()}
                         : it->is_number_integer() && it->get<int64_t>() >= 0;
  if (!whole) fail(ErrorKind::io, "{}: \"{}\" must be a count, found {}", where, key, it->dump());
  return it->get<int64_t>();
}

// Empty where it is missing or null.
std::string text_of(const Json& entry, const char* key, const std::string& where) {
  const auto it = entry.find(key);
  if (it == entry.end() || it->is_null()) return "";
  if (!it->is_string()) fail(ErrorKind::io, "{}: \"{}\" must be a name, found {}", where, key, it->dump());
  return it->get<std::string>();
}

using Names = std::initializer_list<std::string_view>;

void find_unknown(const Json& object, const std::string& prefix, Names known,
                  std::vector<std::string>& found) {
  for (const auto& [name, value] : object.items())
    if (std::find(known.begin(), known.end(), name) == known.end()) found.push_back(prefix + name);
}

// `root` has been read.
void warn_about_unknown_members(const Json& root, const std::string& path) {
  constexpr size_t kMost = 10;  // named
  std::vector<std::string> unknown;
  find_unknown(root, "", {"file_stats", "labels", "conts", "cats"}, unknown);
  for (const char* list : {"file_stats", "labels", "conts", "cats"})
    for (size_t i = 0; i < root[list].size(); ++i)
      find_unknown(root[list][i], fmt::format("{}[{}].", list, i),
                   list == std::string_view("file_stats") ? Names{"file_name", "num_rows"}
                                                          : Names{"col_name", "index"},
                   unknown);
  if (unknown.empty()) return;
  std::string names;
  for (size_t i = 0; i < std::min(unknown.size(), kMost); ++i) names += (i ? ", " : "") + unknown[i];
  if (unknown.size() > kMost) names += fmt::format(" and {} more", unknown.size() - kMost);
  log::warn_once(fmt::format("\"{}\": members without a meaning have no effect: {}", path, names));
}

std::vector<ParquetColumn> columns_of(const Json& root, const char* key, const std::string& path) {
  std::vector<ParquetColumn> columns;
  for (const Json& entry : list_of(root, key, path)) {
    const std::string where = fmt::format("\"{}\", {}[{}]", path, key, columns.size());
    columns.push_back({count_of(entry, "index", where), text_of(entry, "col_name", where)});
  }
  const auto by_index = [](const auto& a, const auto& b) { return a.index < b.index; };
  if (!std::is_sorted(columns.begin(), columns.end(), by_index)) {
    log::warn_once(fmt::format(
        "\"{}\": {} are not listed by ascending index; they are used in ascending order", path, key));
    std::sort(columns.begin(), columns.end(), by_index);
  }
  return columns;
}

// Sorted, not hashed: nobody can choose values that make this slow.
template <class T>
const T* find_twice(std::vector<T>& values) {
  std::sort(values.begin(), values.end());
  const auto twice = std::adjacent_find(values.begin(), values.end());
  return twice == values.end() ? nullptr : &*twice;
}

void reject_duplicates(const ParquetMetadata& metadata) {
  std::vector<int64_t> indices;
  std::vector<std::string> names;
  for (const auto* group : {&metadata.labels, &metadata.conts, &metadata.cats})
    for (const auto& column : *group) {
      indices.push_back(column.index);
      if (!column.name.empty()) names.push_back(column.name);
    }
  if (const auto* index = find_twice(indices))
    fail(ErrorKind::io, "\"{}\": column index {} is used twice", metadata.path, *index);
  if (const auto* name = find_twice(names))
    fail(ErrorKind::io, "\"{}\": column \"{}\" is used twice", metadata.path, *name);
}

}  // namespace

ParquetMetadata parse_parquet_metadata(const std::string& text, const std::string& path) {
  const Json root = parse_json(text, ErrorKind::io, fmt::format("\"{}\"", path));
  ParquetMetadata metadata;
  metadata.path = path;
  size_t i = 0;
  for (const Json& entry : list_of(root, "file_stats", path)) {
    const std::string where = fmt::format("\"{}\", file_stats[{}]", path, i++);
    const int64_t rows = count_of(entry, "num_rows", where);
    const std::string name = text_of(entry, "file_name", where);
    if (name.empty()) fail(ErrorKind::io, "{}: no \"file_name\"", where);
    metadata.rows[base_name(name)] = rows;
  }
  metadata.labels = columns_of(root, "labels", path);
  metadata.conts = columns_of(root, "conts", path);
  metadata.cats = columns_of(root, "cats", path);
  reject_duplicates(metadata);
  warn_about_unknown_members(root, path);
  return metadata;
}

int64_t ParquetMetadata::rows_of(const std::string& file) const {
  const auto it = rows.find(base_name(file));
  if (it == rows.end())
    fail(ErrorKind::io, "\"{}\": file_stats has no entry for \"{}\"", path, base_name(file));
  return it->second;
}

}  // namespace ctr
