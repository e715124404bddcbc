// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

namespace ctr {

// `_metadata.json`: which columns a Parquet data set has, and how many rows its files.
struct ParquetMetadata {
  struct Column {
    int64_t index;     // position in the schema
    std::string name;  // may be empty
  };
  std::string path;
  std::unordered_map<std::string, int64_t> rows;  // by base name of the file
  std::vector<Column> labels, conts, cats;        // ascending index

  // Throws when the file has no entry.
  int64_t rows_of(const std::string& file) const;
};

// `path` is for messages.
ParquetMetadata parse_parquet_metadata(const std::string& text, const std::string& path);

}  // namespace ctr
