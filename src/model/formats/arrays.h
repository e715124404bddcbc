// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "io/file.h"

namespace ctr {

// Model files are little-endian arrays without headers, of a length that follows from the model.

// Throws when the file ends too early: callers have checked its size, so something cut it meanwhile.
void read_exactly(const RandomAccessFile& file, int64_t offset, void* to, size_t bytes);

// The first `count` values.
template <class T>
std::vector<T> read_array(const RandomAccessFile& file, int64_t count) {
  std::vector<T> values(static_cast<size_t>(count));
  read_exactly(file, 0, values.data(), values.size() * sizeof(T));
  return values;
}

template <class T>
void write_array(OutputFile& file, const std::vector<T>& values) {
  file.write(values.data(), values.size() * sizeof(T));
}

int64_t count_not_finite(std::span<const float> values);
void warn_if_not_finite(const std::string& path, int64_t count);

}  // namespace ctr
