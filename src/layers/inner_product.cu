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
  const auto value = y.matrix<T>(), gradient = d_z.matrix<T>();
  float* sums = d_bias.data<float>();
  cuda::sum_column_packs<N>(
      ctx, "InnerProduct.relu_bias_backward", value.rows, value.columns,
      [=] __device__(int64_t r, int64_t c, float* sum) {
        const P v = *reinterpret_cast<const P*>(value.at(r, c));
        P& d = *reinterpret_cast<P*>(gradient.at(r, c));
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
  const int64_t widths = y.shape().last() | y.row_stride() | d_z.row_stride();
  if (widths % kWide == 0 && cuda::are_aligned(y.raw(), d_z.raw()))
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
