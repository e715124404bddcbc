// SPDX-License-Identifier: Apache-2.0
#include "kernels/columns.h"

#include "kernels/elementwise.cuh"

namespace ctr {
namespace {

// One thread moves N neighbours of a row; widths are in elements.
template <class T, int N>
void copy_packs(Context& ctx, const T* source, T* target, int64_t rows, int64_t width, int64_t source_width,
                int64_t target_width, bool accumulate) {
  using P = cuda::Pack<T, N>;
  cuda::for_each_in_rows(ctx, "copy_columns", rows, width / N, [=] __device__(int64_t row, int64_t pack) {
    const P in = *reinterpret_cast<const P*>(source + row * source_width + pack * N);
    P& place = *reinterpret_cast<P*>(target + row * target_width + pack * N);
    P out;
    if (accumulate) out = place;
    for (int k = 0; k < N; ++k) cuda::store(out.v[k], cuda::load(in.v[k]), accumulate);
    place = out;
  });
}

template <class T>
void copy_columns_cuda(Context& ctx, const Tensor& source, const Tensor& target, int64_t rows,
                       ColumnBlock block, bool accumulate) {
  if (rows == 0) return;
  constexpr int kWide = cuda::kPack<T>;
  const int64_t source_width = source.numel() / rows, target_width = target.numel() / rows;
  const T* from = source.data<T>() + block.source;
  T* to = target.data<T>() + block.target;
  const bool wide =
      cuda::are_aligned(from, to) && (block.width % kWide | source_width % kWide | target_width % kWide) == 0;
  const auto copy = wide ? copy_packs<T, kWide> : copy_packs<T, 1>;
  copy(ctx, from, to, rows, block.width, source_width, target_width, accumulate);
}

}  // namespace

void register_columns_cuda() {
  cuda::for_storage_types(
      []<class T>(T) { copy_columns.set(Backend::cuda, dtype_of<T>, copy_columns_cuda<T>); });
}

}  // namespace ctr
