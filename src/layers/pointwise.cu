// SPDX-License-Identifier: Apache-2.0
#include "kernels/elementwise.cuh"
#include "layers/elu.h"
#include "layers/relu.h"
#include "layers/sigmoid.h"

namespace ctr {
namespace {

template <class T, class Math>
void forward_cuda(Context& ctx, const Tensor& x, const Tensor& y, Math math) {
  cuda::map_forward<T>(ctx, "pointwise.forward", x, y,
                       [math] __device__(float v) { return math.forward(v); });
}

template <class T, class Math>
void backward_cuda(Context& ctx, const Tensor& v, const Tensor& d_y, const Tensor& d_x, Math math,
                   bool accumulate) {
  cuda::map_backward<T>(ctx, "pointwise.backward", v, d_y, d_x, accumulate,
                        [math] __device__(float u, float g) { return math.backward(u, g); });
}

template <class Math>
void fill(Pointwise<Math>& kernels) {
  cuda::for_storage_types([&]<class T>(T) {
    kernels.forward.set(Backend::cuda, dtype_of<T>, forward_cuda<T, Math>);
    kernels.backward.set(Backend::cuda, dtype_of<T>, backward_cuda<T, Math>);
  });
}

}  // namespace

void register_pointwise_cuda() {
  fill(elu_kernels);
  fill(relu_kernels);
  fill(sigmoid_kernels);
}

}  // namespace ctr
