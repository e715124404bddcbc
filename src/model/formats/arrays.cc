// SPDX-License-Identifier: Apache-2.0
#include "model/formats/arrays.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/log.h"

namespace ctr {

void read_exactly(const RandomAccessFile& file, int64_t offset, void* to, size_t bytes) {
  if (file.read_at(offset, to, bytes) != bytes)
    fail(ErrorKind::io, "\"{}\": truncated while it was read", file.path());
}

int64_t count_not_finite(std::span<const float> values) {
  return std::count_if(values.begin(), values.end(), [](float v) { return !std::isfinite(v); });
}

void warn_if_not_finite(const std::string& path, int64_t count) {
  if (count) log::warning("\"{}\": {} values are NaN or infinite", path, count);
}

}  // namespace ctr
