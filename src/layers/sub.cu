// SPDX-License-Identifier: Apache-2.0
#include "layers/sub.h"

#include "kernels/elementwise.cuh"

namespace ctr {
namespace {

template <class T>
void forward_cuda(Context& ctx, const Tensor& a, const Tensor& b, const Tensor& y) {
  cuda::map_backward<T>(ctx, "Sub.forward", a, b, y, false,
                        [] __device__(float u, float v) { return u - v; });
}

}  // namespace

void register_sub_cuda() {
  cuda::for_storage_types([]<class T>(T) { sub_forward.set(Backend::cuda, dtype_of<T>, forward_cuda<T>); });
}

}  // namespace ctr
