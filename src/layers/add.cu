// SPDX-License-Identifier: Apache-2.0
#include "layers/add.h"

#include "kernels/elementwise.cuh"

namespace ctr {
namespace {

constexpr size_t kMaxInputs = 32;

template <class T>
struct Inputs {
  const T* data[kMaxInputs];
  int count;
};

// Two inputs go past in wide accesses; more in single ones.
template <class T>
void forward_cuda(Context& ctx, const Tensor& y, std::span<const Tensor> x) {
  if (x.size() > kMaxInputs)
    fail(ErrorKind::unsupported, "Add takes up to {} inputs on a GPU, got {}", kMaxInputs, x.size());
  Inputs<T> in{{}, static_cast<int>(x.size())};
  for (size_t i = 0; i < x.size(); ++i) in.data[i] = x[i].data<T>();
  T* out = y.data<T>();
  if (in.count == 2)
    return cuda::map(
        ctx, "Add.forward", y.numel(), out, false, [] __device__(float a, float b) { return a + b; },
        in.data[0], in.data[1]);
  cuda::for_each(ctx, "Add.forward", y.numel(), [=] __device__(int64_t i) {
    float sum = 0;
    for (int k = 0; k < in.count; ++k) sum += cuda::load(in.data[k][i]);
    out[i] = cuda::rounded<T>(sum);
  });
}

}  // namespace

void register_add_cuda() {
  cuda::for_storage_types([]<class T>(T) { add_forward.set(Backend::cuda, dtype_of<T>, forward_cuda<T>); });
}

}  // namespace ctr
