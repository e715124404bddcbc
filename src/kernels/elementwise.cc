// SPDX-License-Identifier: Apache-2.0
#include "kernels/elementwise.h"

namespace ctr {
namespace {

template <class T>
void scale_into_cpu(Context& ctx, const Tensor& x, const Tensor& y, float scale, bool accumulate) {
  map_backward<T>(ctx, x, x, y, accumulate, [scale](float v, float) { return scale * v; });
}

}  // namespace

constinit decltype(scale_into) scale_into{
    "scale_into", {DType::f32, scale_into_cpu<float>}, {DType::bf16, scale_into_cpu<bf16>}};

}  // namespace ctr
