// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "data/batch_source.h"
#include "data/parquet_metadata.h"

namespace ctr {

// Throws when the columns cannot be those of the model.
void check_parquet_columns(const SampleLayout& layout, const ParquetMetadata& metadata);

// Opens one Parquet file through the opener of the task's spec. Columns that have a name must also have a
// position that the file has when `check_positions`.
std::unique_ptr<SampleFile> open_parquet_file(ReadTask& task, const ParquetMetadata& metadata,
                                              const std::string& path, bool check_positions);

}  // namespace ctr
