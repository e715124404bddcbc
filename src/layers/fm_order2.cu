// SPDX-License-Identifier: Apache-2.0
#include "layers/fm_order2.h"

#include "kernels/elementwise.cuh"

namespace ctr {
namespace {

// A thread owns one column of one sample and walks its slots.
template <class T>
void forward_cuda(Context& ctx, const Tensor& x, const Tensor& y) {
  const int64_t width = x.shape()[1], dim = y.shape()[1];
  const auto in = x.matrix<T>(), out = y.matrix<T>();
  cuda::for_each(ctx, "FmOrder2.forward", y.numel(), [=] __device__(int64_t i) {
    const int64_t row = i / dim, d = i - row * dim;
    const T* column = in.at(row, d);
    float sum = 0, squares = 0;
    for (int64_t s = 0; s < width; s += dim) {
      const float v = cuda::load(column[s]);
      sum += v;
      squares += v * v;
    }
    *out.at(row, d) = cuda::rounded<T>(0.5f * (sum * sum - squares));
  });
}

template <class T>
void backward_cuda(Context& ctx, const Tensor& x, const Tensor& d_y, const Tensor& d_x, bool accumulate) {
  const int64_t width = x.shape()[1], dim = d_y.shape()[1];
  const auto in = x.matrix<T>(), g = d_y.matrix<T>(), out = d_x.matrix<T>();
  cuda::for_each(ctx, "FmOrder2.backward", d_y.numel(), [=] __device__(int64_t i) {
    const int64_t row = i / dim, column = i - row * dim;
    const T* from = in.at(row, column);
    T* to = out.at(row, column);
    float sum = 0;
    for (int64_t s = 0; s < width; s += dim) sum += cuda::load(from[s]);
    const float d = cuda::load(*g.at(row, column));
    for (int64_t s = 0; s < width; s += dim) cuda::store(to[s], d * (sum - cuda::load(from[s])), accumulate);
  });
}

}  // namespace

void register_fm_order2_cuda() {
  cuda::for_storage_types([]<class T>(T) {
    fm_order2_forward.set(Backend::cuda, dtype_of<T>, forward_cuda<T>);
    fm_order2_backward.set(Backend::cuda, dtype_of<T>, backward_cuda<T>);
  });
}

}  // namespace ctr
