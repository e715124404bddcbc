// SPDX-License-Identifier: Apache-2.0
#include "kernels/elementwise.h"

#include "kernels/elementwise.cuh"

namespace ctr {
namespace {

template <class T>
void scale_into_cuda(Context& ctx, const Tensor& x, const Tensor& y, float scale, bool accumulate) {
  cuda::map(
      ctx, "scale_into", y.numel(), y.data<T>(), accumulate,
      [scale] __device__(float v) { return scale * v; }, static_cast<const T*>(x.data<T>()));
}

}  // namespace

void register_elementwise_cuda() {
  cuda::for_storage_types([]<class T>(T) { scale_into.set(Backend::cuda, dtype_of<T>, scale_into_cuda<T>); });
}

}  // namespace ctr
