// SPDX-License-Identifier: Apache-2.0
#include "layers/weight_multiply.h"

#include "kernels/elementwise.cuh"
#include "kernels/reduce.cuh"

namespace ctr {
namespace {

template <class T>
void forward_cuda(Context& ctx, const Tensor& x, const Tensor& w, const Tensor& y) {
  const int64_t width = w.shape()[1];
  const auto in = x.matrix<T>(), out = y.matrix<T>();
  const float* weight = w.data<float>();
  cuda::for_each_in_rows(ctx, "WeightMultiply.forward", out.rows, out.columns,
                         [=] __device__(int64_t r, int64_t c) {
                           *out.at(r, c) = cuda::rounded<T>(cuda::load(*in.at(r, c / width)) * weight[c]);
                         });
}

template <class T>
void backward_cuda(Context& ctx, const Tensor& x, const Tensor& w, const Tensor& d_y, const Tensor& d_x,
                   const Tensor& d_w, bool accumulate) {
  const int64_t rows = x.shape()[0], slots = w.shape()[0], width = w.shape()[1];
  const auto in = x.matrix<T>(), g = d_y.matrix<T>();
  const float* weight = w.data<float>();
  float* d_weight = d_w.data<float>();
  cuda::sum_columns<1, float>(
      ctx, "WeightMultiply.backward", rows, slots * width,
      [=] __device__(int64_t r, int64_t c, float* sum) {
        *sum += cuda::load(*g.at(r, c)) * cuda::load(*in.at(r, c / width));
      },
      [=] __device__(int64_t c, const float* sum) { d_weight[c] = *sum; });
  if (!d_x) return;
  const auto out = d_x.matrix<T>();
  cuda::for_each_in_rows(ctx, "WeightMultiply.backward", rows, slots, [=] __device__(int64_t r, int64_t s) {
    float sum = 0;
    for (int64_t c = s * width; c < (s + 1) * width; ++c) sum += cuda::load(*g.at(r, c)) * weight[c];
    cuda::store(*out.at(r, s), sum, accumulate);
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
