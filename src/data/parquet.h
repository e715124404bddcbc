// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "data/batch_source.h"
#include "data/parquet_metadata.h"

namespace ctr {

// Throws when the columns cannot be those of the model.
void check_parquet_columns(const SampleLayout& layout, const ParquetMetadata& metadata);

// Opens one Parquet file through the opener of the task's spec.
std::unique_ptr<SampleFile> open_parquet_file(ReadTask& task, const ParquetMetadata& metadata,
                                              const std::string& path);

}  // namespace ctr
