// SPDX-License-Identifier: Apache-2.0
#include "layers/weight_multiply.h"

#include "kernels/elementwise.cuh"
#include "kernels/reduce.cuh"

namespace ctr {
namespace {

template <class T>
void forward_cuda(Context& ctx, const Tensor& x, const Tensor& w, const Tensor& y) {
  const int64_t slots = w.shape()[0], width = w.shape()[1];
  const T* in = x.data<T>();
  const float* weight = w.data<float>();
  T* out = y.data<T>();
  cuda::for_each(ctx, "WeightMultiply.forward", y.numel(), [=] __device__(int64_t i) {
    out[i] = cuda::rounded<T>(cuda::load(in[i / width]) * weight[i % (slots * width)]);
  });
}

template <class T>
void backward_cuda(Context& ctx, const Tensor& x, const Tensor& w, const Tensor& d_y, const Tensor& d_x,
                   const Tensor& d_w, bool accumulate) {
  const int64_t rows = x.shape()[0], slots = w.shape()[0], width = w.shape()[1];
  const T *in = x.data<T>(), *g = d_y.data<T>();
  const float* weight = w.data<float>();
  float* d_weight = d_w.data<float>();
  cuda::sum_columns<1, float>(
      ctx, "WeightMultiply.backward", rows, slots * width,
      [=] __device__(int64_t r, int64_t c, float* sum) {
        *sum += cuda::load(g[r * slots * width + c]) * cuda::load(in[r * slots + c / width]);
      },
      [=] __device__(int64_t c, const float* sum) { d_weight[c] = *sum; });
  if (!d_x) return;
  T* out = d_x.data<T>();
  cuda::for_each(ctx, "WeightMultiply.backward", rows * slots, [=] __device__(int64_t i) {
    float sum = 0;
    for (int64_t v = 0; v < width; ++v) sum += cuda::load(g[i * width + v]) * weight[i % slots * width + v];
    cuda::store(out[i], sum, accumulate);
  });
}

}  // namespace

void register_weight_multiply_cuda() {
  cuda::for_storage_types([]<class T>(T) {
    weight_multiply_forward.set(Backend::cuda, dtype_of<T>, forward_cuda<T>);
    weight_multiply_backward.set(Backend::cuda, dtype_of<T>, backward_cuda<T>);
  });
}

}  // namespace ctr
