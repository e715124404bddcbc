// SPDX-License-Identifier: Apache-2.0
#include "layers/low_rank_cross.h"

#include "kernels/elementwise.cuh"

namespace ctr {
namespace {

template <class T>
void forward_cuda(Context& ctx, const Tensor& x0, const Tensor& h, const Tensor& x, const Tensor& next) {
  const int64_t row = common_row({&x0, &h, &x, &next});
  cuda::map(
      ctx, "MultiCross.low_rank_forward", next.matrix<T>(row), false,
      [] __device__(float first, float factor, float last) { return first * factor + last; },
      x0.matrix<T>(row), h.matrix<T>(row), x.matrix<T>(row));
}

template <class T>
void backward_cuda(Context& ctx, const Tensor& g, const Tensor& x0, const Tensor& h, const Tensor& s,
                   const Tensor& d_x, bool accumulate, bool is_first) {
  cuda::map_backward<T>(ctx, "MultiCross.low_rank_backward", x0, g, s, false,
                        [] __device__(float x, float d) { return x * d; });
  if (!d_x) return;
  const float through = is_first ? 1.0f : 0.0f;
  cuda::map_backward<T>(ctx, "MultiCross.low_rank_backward", h, g, d_x, accumulate,
                        [=] __device__(float factor, float d) { return d * (factor + through); });
}

}  // namespace

void register_low_rank_cross_cuda() {
  cuda::for_storage_types([]<class T>(T) {
    low_rank_cross_forward.set(Backend::cuda, dtype_of<T>, forward_cuda<T>);
    low_rank_cross_backward.set(Backend::cuda, dtype_of<T>, backward_cuda<T>);
  });
}

}  // namespace ctr
