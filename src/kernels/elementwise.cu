// SPDX-License-Identifier: Apache-2.0
#include "kernels/elementwise.h"

#include "kernels/elementwise.cuh"

namespace ctr {
namespace {

template <class T>
void scale_into_cuda(Context& ctx, const Tensor& x, const Tensor& y, float scale, bool accumulate) {
  const int64_t row = common_row({&x, &y});
  cuda::map(
      ctx, "scale_into", y.matrix<T>(row), accumulate, [scale] __device__(float v) { return scale * v; },
      x.matrix<T>(row));
}

}  // namespace

void register_elementwise_cuda() {
  cuda::for_storage_types([]<class T>(T) { scale_into.set(Backend::cuda, dtype_of<T>, scale_into_cuda<T>); });
}

}  // namespace ctr
