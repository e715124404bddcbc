// SPDX-License-Identifier: Apache-2.0
#include "device/arena.h"

#include <algorithm>

#include "base/checked.h"

namespace ctr {

int Arena::add(DType dtype, const Shape& shape, bool packed) {
  constexpr size_t kLine = 64;
  if (!packed) bytes_ = (bytes_ + kLine - 1) / kLine * kLine;
  return add_at(bytes_, dtype, shape);
}

int Arena::add_at(size_t offset, DType dtype, const Shape& shape) {
  entries_.push_back({dtype, shape, offset});
  const auto bytes = static_cast<int64_t>(static_cast<size_t>(shape.numel()) * size_of(dtype));
  const int64_t end = checked_sum(static_cast<int64_t>(offset), bytes);
  bytes_ = std::max(bytes_, static_cast<size_t>(end));
  return static_cast<int>(entries_.size()) - 1;
}

void Arena::allocate(Device device) { buffer_ = Buffer(device, bytes_, name_); }

Tensor Arena::operator[](int handle) const {
  const Entry& e = entries_.at(static_cast<size_t>(handle));
  return Tensor(e.dtype, e.shape, buffer_.data() ? buffer_.data() + e.offset : nullptr);
}

Tensor Arena::whole(DType dtype) const {
  return Tensor(dtype, {static_cast<int64_t>(bytes_ / size_of(dtype))}, buffer_.data());
}

}  // namespace ctr
