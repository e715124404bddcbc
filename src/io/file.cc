// SPDX-License-Identifier: Apache-2.0
#include "io/file.h"

namespace ctr {
namespace {

constexpr size_t kBufferBytes = size_t{1} << 20;

}  // namespace

OutputFile::OutputFile() { buffer_.reserve(kBufferBytes); }

void OutputFile::write(const void* data, size_t bytes) {
  const auto* first = static_cast<const std::byte*>(data);
  if (buffer_.size() + bytes > kBufferBytes) flush();
  if (bytes >= kBufferBytes) return put(data, bytes);
  buffer_.insert(buffer_.end(), first, first + bytes);
}

void OutputFile::flush() {
  put(buffer_.data(), buffer_.size());
  buffer_.clear();
}

void OutputFile::close() {
  flush();
  finish();
}

}  // namespace ctr
