// SPDX-License-Identifier: Apache-2.0
#include "kernels/rows.h"

#include "kernels/elementwise.cuh"

namespace ctr {
namespace {

template <class T>
void gather_rows_cuda(Context& ctx, const Tensor& x, const Tensor& rows, const Tensor& y) {
  const int64_t width = x.numel() / x.shape()[0];
  const auto from = x.matrix<T>(width), to = y.matrix<T>(width);
  const int32_t* row = rows.data<int32_t>();
  cuda::for_each_in_rows(ctx, "gather_rows", to.rows, width,
                         [=] __device__(int64_t k, int64_t c) { *to.at(k, c) = *from.at(row[k], c); });
}

template <class T>
void scatter_rows_cuda(Context& ctx, const Tensor& d_y, const RowTakers& taken, const Tensor& d_x,
                       bool accumulate) {
  const int64_t width = d_x.numel() / d_x.shape()[0];
  const auto from = d_y.matrix<T>(width), to = d_x.matrix<T>(width);
  const int32_t *takers = taken.takers.data<int32_t>(), *begins = taken.begins.data<int32_t>();
  cuda::for_each_in_rows(ctx, "scatter_rows", to.rows, width, [=] __device__(int64_t r, int64_t c) {
    float sum = 0;
    for (int32_t k = begins[r]; k < begins[r + 1]; ++k) sum += cuda::load(*from.at(takers[k], c));
    cuda::store(*to.at(r, c), sum, accumulate);
  });
}

}  // namespace

void register_rows_cuda() {
  cuda::for_storage_types([]<class T>(T) {
    gather_rows.set(Backend::cuda, dtype_of<T>, gather_rows_cuda<T>);
    scatter_rows.set(Backend::cuda, dtype_of<T>, scatter_rows_cuda<T>);
  });
}

}  // namespace ctr
