// SPDX-License-Identifier: Apache-2.0
#include "layers/fm_order2.h"

#include "kernels/elementwise.cuh"

namespace ctr {
namespace {

// A thread owns one column of one sample and walks its slots.
template <class T>
void forward_cuda(Context& ctx, const Tensor& x, const Tensor& y) {
  const int64_t width = x.shape()[1], dim = y.shape()[1];
  const T* in = x.data<T>();
  T* out = y.data<T>();
  cuda::for_each(ctx, "FmOrder2.forward", y.numel(), [=] __device__(int64_t i) {
    const T* column = in + i / dim * width + i % dim;
    float sum = 0, squares = 0;
    for (int64_t s = 0; s < width; s += dim) {
      const float v = cuda::load(column[s]);
      sum += v;
      squares += v * v;
    }
    out[i] = cuda::rounded<T>(0.5f * (sum * sum - squares));
  });
}

template <class T>
void backward_cuda(Context& ctx, const Tensor& x, const Tensor& d_y, const Tensor& d_x, bool accumulate) {
  const int64_t width = x.shape()[1], dim = d_y.shape()[1];
  const T *in = x.data<T>(), *g = d_y.data<T>();
  T* out = d_x.data<T>();
  cuda::for_each(ctx, "FmOrder2.backward", d_y.numel(), [=] __device__(int64_t i) {
    const int64_t first = i / dim * width + i % dim;
    float sum = 0;
    for (int64_t s = 0; s < width; s += dim) sum += cuda::load(in[first + s]);
    const float d = cuda::load(g[i]);
    for (int64_t s = 0; s < width; s += dim)
      cuda::store(out[first + s], d * (sum - cuda::load(in[first + s])), accumulate);
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
