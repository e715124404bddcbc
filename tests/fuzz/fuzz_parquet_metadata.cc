// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstdlib>

#include "base/error.h"
#include "base/log.h"
#include "data/parquet_metadata.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  ctr::log::set_sink([](ctr::log::Level, std::string_view) {});
  try {
    const std::string text(reinterpret_cast<const char*>(bytes), size);
    const auto metadata = ctr::parse_parquet_metadata(text, "_metadata.json");
    for (const auto* group : {&metadata.labels, &metadata.conts, &metadata.cats}) {
      const auto ascending = [](const auto& a, const auto& b) { return a.index < b.index; };
      if (!std::is_sorted(group->begin(), group->end(), ascending)) std::abort();
      for (const auto& column : *group)
        if (column.index < 0) std::abort();
    }
    for (const auto& [name, rows] : metadata.rows)
      if (rows < 0 || metadata.rows_of("folder/" + name) != rows) std::abort();
  } catch (const ctr::Error&) {
  }
  return 0;
}
