// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "data/reader.h"

namespace ctr {

// `_metadata.json`: which columns a Parquet data set has, and how many rows its files.
struct ParquetMetadata {
  std::string path;
  std::map<std::string, int64_t> rows;             // by base name of the file
  std::vector<ParquetColumn> labels, conts, cats;  // ascending index; names may be empty

  // Throws when the file has no entry.
  int64_t rows_of(const std::string& file) const;
};

// `path` is for messages.
ParquetMetadata parse_parquet_metadata(const std::string& text, const std::string& path);

}  // namespace ctr
