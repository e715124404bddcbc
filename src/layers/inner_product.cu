// SPDX-License-Identifier: Apache-2.0
#include "layers/inner_product.h"

#include "kernels/elementwise.cuh"
#include "kernels/reduce.cuh"
#include "layers/relu.h"

namespace ctr {
namespace {

// One pass over N columns a thread: writes d_z and sums it.
template <class T, int N>
void backward_packs(Context& ctx, const Tensor& y, const Tensor& d_z, const Tensor& d_bias) {
  using P = cuda::Pack<T, N>;
  const int64_t n = y.shape().last();
  const T* value = y.data<T>();
  T* gradient = d_z.data<T>();
  float* sums = d_bias.data<float>();
  cuda::sum_column_packs<N>(
      ctx, "InnerProduct.relu_bias_backward", y.shape().rows(), n,
      [=] __device__(int64_t r, int64_t c, float* sum) {
        const int64_t i = r * n + c;
        const P v = *reinterpret_cast<const P*>(value + i);
        P& d = *reinterpret_cast<P*>(gradient + i);
        P z;
        for (int k = 0; k < N; ++k) {
          const float through = ReluMath::backward(cuda::load(v.v[k]), cuda::load(d.v[k]));
          z.v[k] = cuda::rounded<T>(through);
          sum[k] += through;
        }
        d = z;
      },
      [=] __device__(int64_t c, const float* sum) { sums[c] = *sum; });
}

template <class T>
void relu_bias_backward_cuda(Context& ctx, const Tensor& y, const Tensor& d_z, const Tensor& d_bias) {
  constexpr int kWide = cuda::kPack<T>;
  if (y.shape().last() % kWide == 0 && cuda::are_aligned(y.data<T>(), d_z.data<T>()))
    backward_packs<T, kWide>(ctx, y, d_z, d_bias);
  else
    backward_packs<T, 1>(ctx, y, d_z, d_bias);
}

}  // namespace

void register_inner_product_cuda() {
  cuda::for_storage_types(
      []<class T>(T) { relu_bias_backward.set(Backend::cuda, dtype_of<T>, relu_bias_backward_cuda<T>); });
}

}  // namespace ctr
