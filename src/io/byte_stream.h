// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstring>
#include <memory>
#include <span>
#include <vector>

#include "io/file.h"

namespace ctr {

// A file read front to back through one buffer.
class ByteStream {
 public:
  explicit ByteStream(std::unique_ptr<RandomAccessFile> file) : file_(std::move(file)) {}

  const RandomAccessFile& file() const { return *file_; }
  int64_t offset() const { return offset_; }  // of the next byte

  // The next bytes, without consuming them: at least `wanted`, fewer only where the file ends.
  std::span<const std::byte> peek(size_t wanted) {
    if (end_ - begin_ < wanted && !at_end_) refill(wanted);
    return {buffer_.data() + begin_, end_ - begin_};
  }
  // Consumes bytes that peek() has shown.
  void skip(size_t bytes) {
    begin_ += bytes;
    offset_ += static_cast<int64_t>(bytes);
  }

 private:
  static constexpr size_t kBlock = size_t{1} << 20;

  void refill(size_t wanted);

  std::unique_ptr<RandomAccessFile> file_;
  std::vector<std::byte> buffer_;
  size_t begin_ = 0, end_ = 0;
  int64_t offset_ = 0;
  bool at_end_ = false;
};

// A little-endian value at any alignment.
template <class T>
T load(const std::byte* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

}  // namespace ctr
