// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/dtype.h"
#include "base/error.h"
#include "base/shape.h"

namespace ctr {

// Typed, trivially copyable view that kernels work on. Row-major and contiguous.
template <class T, int R>
struct View {
  T* data;
  int64_t extent[R];

  int64_t size() const {
    int64_t n = 1;
    for (int64_t e : extent) n *= e;
    return n;
  }
  T& operator[](int64_t i) const { return data[i]; }
  T* row(int64_t i) const { return data + i * (size() / extent[0]); }
};

// Type-erased description of memory that somebody else owns (an arena, a buffer, a caller).
class Tensor {
 public:
  Tensor() = default;
  Tensor(DType dtype, Shape shape, void* data) : dtype_(dtype), shape_(shape), data_(data) {}

  DType dtype() const { return dtype_; }
  const Shape& shape() const { return shape_; }
  int64_t numel() const { return shape_.numel(); }
  size_t bytes() const { return static_cast<size_t>(numel()) * size_of(dtype_); }
  void* raw() const { return data_; }
  explicit operator bool() const { return data_ != nullptr; }

  template <class T>
  T* data() const {
    if (dtype_of<T> != dtype_)
      fail(ErrorKind::internal, "tensor is {}, kernel wants {}", name_of(dtype_), name_of(dtype_of<T>));
    return static_cast<T*>(data_);
  }
  template <class T, int R>
  View<T, R> view() const {
    if (shape_.rank() != R)
      fail(ErrorKind::internal, "tensor has shape {}, kernel wants rank {}", to_string(shape_), R);
    View<T, R> v{data<T>(), {}};
    for (int i = 0; i < R; ++i) v.extent[i] = shape_[i];
    return v;
  }
  // [rows, last]: any tensor seen as a matrix over its last dimension.
  template <class T>
  View<T, 2> matrix() const {
    return {data<T>(), {shape_.rows(), shape_.last()}};
  }

 private:
  DType dtype_ = DType::f32;
  Shape shape_;
  void* data_ = nullptr;
};

}  // namespace ctr
