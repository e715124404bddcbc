// SPDX-License-Identifier: Apache-2.0
#include "layers/sigmoid.h"

#include "kernels/elementwise.cuh"

namespace ctr {
namespace {

template <class T>
void forward_cuda(Context& ctx, const Tensor& x, const Tensor& y) {
  cuda::map_forward<T>(ctx, "Sigmoid.forward", x, y,
                       [] __device__(float v) { return SigmoidMath::forward(v); });
}

template <class T>
void backward_cuda(Context& ctx, const Tensor& y, const Tensor& d_y, const Tensor& d_x, bool accumulate) {
  cuda::map_backward<T>(ctx, "Sigmoid.backward", y, d_y, d_x, accumulate,
                        [] __device__(float v, float g) { return SigmoidMath::backward(v, g); });
}

}  // namespace

void register_sigmoid_cuda() {
  cuda::for_storage_types([]<class T>(T) {
    sigmoid_forward.set(Backend::cuda, dtype_of<T>, forward_cuda<T>);
    sigmoid_backward.set(Backend::cuda, dtype_of<T>, backward_cuda<T>);
  });
}

}  // namespace ctr
