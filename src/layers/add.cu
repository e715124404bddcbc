// SPDX-License-Identifier: Apache-2.0
#include "layers/add.h"

#include "kernels/elementwise.cuh"

namespace ctr {
namespace {

constexpr size_t kInputs = 32;  // of one pass

template <class T>
struct Inputs {
  Matrix<T> x[kInputs];
  int count;
};

// Two inputs go past in wide accesses; more in single ones, and in passes that add to the one before.
template <class T>
void forward_cuda(Context& ctx, const Tensor& y, std::span<const Tensor> x) {
  const int64_t row = common_row({&y}, x);
  const auto out = y.matrix<T>(row);
  if (x.size() == 2)
    return cuda::map(
        ctx, "Add.forward", out, false, [] __device__(float a, float b) { return a + b; },
        x[0].matrix<T>(row), x[1].matrix<T>(row));
  for (size_t first = 0; first < x.size(); first += kInputs) {
    Inputs<T> in{{}, static_cast<int>(std::min(kInputs, x.size() - first))};
    for (int k = 0; k < in.count; ++k) in.x[k] = x[first + static_cast<size_t>(k)].matrix<T>(row);
    cuda::for_each_element(ctx, "Add.forward", out.rows, out.columns, [=] __device__(int64_t r, int64_t c) {
      float sum = 0;
      for (int k = 0; k < in.count; ++k) sum += cuda::load(*in.x[k].at(r, c));
      cuda::store(*out.at(r, c), sum, first > 0);
    });
  }
}

}  // namespace

void register_add_cuda() {
  cuda::for_storage_types([]<class T>(T) { add_forward.set(Backend::cuda, dtype_of<T>, forward_cuda<T>); });
}

}  // namespace ctr
