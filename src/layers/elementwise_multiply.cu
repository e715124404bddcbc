// SPDX-License-Identifier: Apache-2.0
#include "layers/elementwise_multiply.h"

#include "kernels/elementwise.cuh"

namespace ctr {
namespace {

constexpr size_t kMaxFactors = 32;

template <class T>
struct Factors {
  const T* data[kMaxFactors];
  int count;

  explicit Factors(std::span<const Tensor> x) : count(static_cast<int>(x.size())) {
    if (x.size() > kMaxFactors)
      fail(ErrorKind::unsupported, "ElementwiseMultiply takes up to {} inputs on a GPU, got {}", kMaxFactors,
           x.size());
    for (size_t i = 0; i < x.size(); ++i) data[i] = x[i].data<T>();
  }
  __device__ float product(float first, int64_t i, int64_t skip) const {
    for (int k = 0; k < count; ++k)
      if (k != skip) first *= cuda::load(data[k][i]);
    return first;
  }
};

template <class T>
void forward_cuda(Context& ctx, const Tensor& y, std::span<const Tensor> x) {
  T* out = y.data<T>();
  const Factors<T> factors(x);
  cuda::for_each(ctx, "ElementwiseMultiply.forward", y.numel(),
                 [=] __device__(int64_t i) { out[i] = cuda::rounded<T>(factors.product(1, i, -1)); });
}

template <class T>
void backward_cuda(Context& ctx, const Tensor& d_y, std::span<const Tensor> x, int64_t skip,
                   const Tensor& d_x, bool accumulate) {
  const T* g = d_y.data<T>();
  T* out = d_x.data<T>();
  const Factors<T> factors(x);
  cuda::for_each(ctx, "ElementwiseMultiply.backward", d_y.numel(), [=] __device__(int64_t i) {
    cuda::store(out[i], factors.product(cuda::load(g[i]), i, skip), accumulate);
  });
}

}  // namespace

void register_elementwise_multiply_cuda() {
  cuda::for_storage_types([]<class T>(T) {
    multiply_forward.set(Backend::cuda, dtype_of<T>, forward_cuda<T>);
    multiply_backward.set(Backend::cuda, dtype_of<T>, backward_cuda<T>);
  });
}

}  // namespace ctr
