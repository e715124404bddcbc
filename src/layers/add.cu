// SPDX-License-Identifier: Apache-2.0
#include "layers/add.h"

#include "kernels/elementwise.cuh"

namespace ctr {
namespace {

// Two inputs in the first pass, one more in each of the others.
template <class T>
void forward_cuda(Context& ctx, const Tensor& y, std::span<const Tensor> x) {
  const auto in = [&](size_t i) { return static_cast<const T*>(x[i].data<T>()); };
  cuda::map(
      ctx, "Add.forward", y.numel(), y.data<T>(), false, [] __device__(float a, float b) { return a + b; },
      in(0), in(1));
  for (size_t i = 2; i < x.size(); ++i)
    cuda::map(
        ctx, "Add.forward", y.numel(), y.data<T>(), true, [] __device__(float a) { return a; }, in(i));
}

}  // namespace

void register_add_cuda() {
  cuda::for_storage_types([]<class T>(T) { add_forward.set(Backend::cuda, dtype_of<T>, forward_cuda<T>); });
}

}  // namespace ctr
