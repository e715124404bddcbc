// SPDX-License-Identifier: Apache-2.0
#include <cstdlib>

#include "base/error.h"
#include "base/log.h"
#include "data/file_list.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  ctr::log::set_sink([](ctr::log::Level, std::string_view) {});
  try {
    const auto files = ctr::parse_file_list({reinterpret_cast<const char*>(bytes), size}, "list");
    if (files.empty()) std::abort();
    for (const auto& file : files)
      if (file.empty() || file.find('\n') != std::string::npos) std::abort();
  } catch (const ctr::Error&) {
  }
  return 0;
}
