// SPDX-License-Identifier: Apache-2.0
#include "layers/elu.h"

#include "kernels/elementwise.cuh"

namespace ctr {
namespace {

template <class T>
void forward_cuda(Context& ctx, const Tensor& x, const Tensor& y, float alpha) {
  cuda::map_forward<T>(ctx, "ELU.forward", x, y,
                       [alpha] __device__(float v) { return EluMath{alpha}.forward(v); });
}

template <class T>
void backward_cuda(Context& ctx, const Tensor& x, const Tensor& d_y, const Tensor& d_x, float alpha,
                   bool accumulate) {
  cuda::map_backward<T>(ctx, "ELU.backward", x, d_y, d_x, accumulate,
                        [alpha] __device__(float v, float g) { return EluMath{alpha}.backward(v, g); });
}

}  // namespace

void register_elu_cuda() {
  cuda::for_storage_types([]<class T>(T) {
    elu_forward.set(Backend::cuda, dtype_of<T>, forward_cuda<T>);
    elu_backward.set(Backend::cuda, dtype_of<T>, backward_cuda<T>);
  });
}

}  // namespace ctr
