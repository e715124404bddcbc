// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "base/dtype.h"
#include "base/error.h"
#include "base/host_device.h"
#include "base/shape.h"

namespace ctr {

// Rows of elements side by side, each `stride` elements behind the one before.
template <class T>
struct Matrix {
  T* data;
  int64_t rows, columns, stride;

  CTR_HOST_DEVICE T* at(int64_t row, int64_t column = 0) const { return data + row * stride + column; }
};

// Type-erased description of memory that somebody else owns (an arena, a buffer, a caller). Row-major.
// Packed, or columns of something wider: then its elements, in order, lie in runs, equally far apart.
class Tensor {
 public:
  // Elements of a run, from the beginning of one to the next, and zeros behind each that belong to it too.
  struct Runs {
    int64_t length, stride, padding = 0;
  };

  Tensor() = default;
  Tensor(DType dtype, Shape shape, void* data) : dtype_(dtype), shape_(shape), data_(data) {}
  Tensor(DType dtype, Shape shape, void* data, Runs runs) : Tensor(dtype, shape, data) {
    if (runs.length != runs.stride && runs.length < numel()) runs_ = runs;
  }

  DType dtype() const { return dtype_; }
  const Shape& shape() const { return shape_; }
  int64_t numel() const { return shape_.numel(); }
  size_t bytes() const { return static_cast<size_t>(numel()) * size_of(dtype_); }  // of its elements
  // The first element. Who goes on from there minds the runs; data() does not let one forget them.
  void* raw() const { return data_; }
  template <class T>
  T* first() const {
    if (dtype_of<T> != dtype_)
      fail(ErrorKind::internal, "tensor is {}, kernel wants {}", name_of(dtype_), name_of(dtype_of<T>));
    return static_cast<T*>(data_);
  }
  explicit operator bool() const { return data_ != nullptr; }

  bool is_packed() const { return runs_.length == 0; }
  Runs runs() const { return is_packed() ? Runs{numel(), numel()} : runs_; }
  // Whether rows of `width` elements are equally far apart, and how far.
  bool has_rows(int64_t width) const { return is_packed() || runs_.length == width; }
  int64_t row_stride(int64_t width) const {
    if (!has_rows(width))
      fail(ErrorKind::internal, "tensor {} lies in runs of {}, kernel wants rows of {}", to_string(shape_),
           runs_.length, width);
    return is_packed() ? width : runs_.stride;
  }
  int64_t row_stride() const { return row_stride(shape_.last()); }

  // Of a packed tensor, one element after the other.
  template <class T>
  T* data() const {
    if (!is_packed())
      fail(ErrorKind::internal, "tensor {} lies in runs of {}, kernel wants it packed", to_string(shape_),
           runs_.length);
    return first<T>();
  }
  // [numel / width, width]; without a width, over the last dimension.
  template <class T>
  Matrix<T> matrix(int64_t width) const {
    return {first<T>(), width ? numel() / width : 0, width, row_stride(width)};
  }
  template <class T>
  Matrix<T> matrix() const {
    return matrix<T>(shape_.last());
  }
  // Columns [first, first + width) of the rows of the last dimension.
  Tensor columns(int64_t first, int64_t width) const {
    Shape shape = shape_;
    shape.set(-1, width);
    auto* begin = static_cast<std::byte*>(data_) + static_cast<size_t>(first) * size_of(dtype_);
    return {dtype_, shape, begin, {width, row_stride()}};
  }

 private:
  DType dtype_ = DType::f32;
  Shape shape_;
  void* data_ = nullptr;
  Runs runs_{0, 0};  // no length: packed
};

// The rows that all tensors of an element-wise operation can be cut into: one where all are packed.
inline int64_t common_row(std::initializer_list<const Tensor*> tensors, std::span<const Tensor> more = {}) {
  int64_t row = (*tensors.begin())->numel();
  for (const Tensor* t : tensors)
    if (!t->is_packed()) row = t->runs().length;
  for (const Tensor& t : more)
    if (!t.is_packed()) row = t.runs().length;
  return row;
}

}  // namespace ctr
