// SPDX-License-Identifier: Apache-2.0
#include "io/byte_stream.h"

#include <algorithm>

namespace ctr {

void ByteStream::refill(size_t wanted) {
  const size_t held = end_ - begin_;
  if (held > 0) std::memmove(buffer_.data(), buffer_.data() + begin_, held);
  begin_ = 0;
  end_ = held;
  // Never more than the file holds: `wanted` may come from a generous limit.
  const auto left = static_cast<size_t>(std::max<int64_t>(file_->size() - offset_, 0));
  const size_t capacity = std::min(std::max(kBlock, 2 * wanted), left);
  if (buffer_.size() < capacity) buffer_.resize(capacity);
  const int64_t from = offset_ + static_cast<int64_t>(held);
  const size_t read = file_->read_at(from, buffer_.data() + held, buffer_.size() - held);
  at_end_ = read < buffer_.size() - held || from + static_cast<int64_t>(read) >= file_->size();
  end_ = held + read;
}

}  // namespace ctr
