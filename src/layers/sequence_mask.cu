// SPDX-License-Identifier: Apache-2.0
#include "layers/sequence_mask.h"

#include "kernels/elementwise.cuh"

namespace ctr {
namespace {

template <class T>
void mask_cuda(Context& ctx, const Tensor& from, const Tensor& to, const Tensor& mask) {
  const int64_t m = mask.shape()[2], k = mask.shape()[3];
  const T *lengths_from = from.data<T>(), *lengths_to = to.data<T>();
  T* out = mask.data<T>();
  cuda::for_each(ctx, "SequenceMask", mask.numel(), [=] __device__(int64_t e) {
    const int64_t row = e / (m * k), i = e / k % m, j = e % k;
    const bool inside = SequenceMaskMath::is_inside(i, cuda::load(lengths_from[row])) &&
                        SequenceMaskMath::is_inside(j, cuda::load(lengths_to[row]));
    out[e] = cuda::rounded<T>(inside ? 1.0f : 0.0f);
  });
}

}  // namespace

void register_sequence_mask_cuda() {
  cuda::for_storage_types([]<class T>(T) { sequence_mask.set(Backend::cuda, dtype_of<T>, mask_cuda<T>); });
}

}  // namespace ctr
