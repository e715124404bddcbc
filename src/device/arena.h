// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "base/tensor.h"
#include "device/buffer.h"

namespace ctr {

// One allocation for one lifetime class (weights, activations, gradients, ...): first hand out offsets, then
// allocate once, then look tensors up. Nothing is freed before the arena is.
class Arena {
 public:
  explicit Arena(std::string name) : name_(std::move(name)) {}

  // Returns a handle. Weights are packed without padding (their order is the file format); everything else is
  // aligned to 64 bytes.
  int add(DType dtype, const Shape& shape, bool packed = false);
  // The same at an offset that the caller has chosen, a multiple of 64 bytes; it may be another tensor's,
  // too.
  int add_at(size_t offset, DType dtype, const Shape& shape);
  void allocate(Device device);

  Tensor operator[](int handle) const;
  Tensor whole(DType dtype) const;  // the arena as one flat tensor
  size_t bytes() const { return bytes_; }

 private:
  struct Entry {
    DType dtype;
    Shape shape;
    size_t offset;
  };
  std::string name_;
  std::vector<Entry> entries_;
  size_t bytes_ = 0;
  Buffer buffer_;
};

}  // namespace ctr
