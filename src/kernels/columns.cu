// SPDX-License-Identifier: Apache-2.0
#include "kernels/columns.h"

#include "kernels/elementwise.cuh"

namespace ctr {
namespace {

// One thread moves N neighbours of a row. Index fits rows * width / N.
template <class T, int N, class Index>
void copy_packs(Context& ctx, const T* source, T* target, Index rows, Index width, Index source_width,
                Index target_width, bool accumulate) {
  using P = cuda::Pack<T, N>;
  const auto* from = reinterpret_cast<const P*>(source);
  auto* to = reinterpret_cast<P*>(target);
  width /= N, source_width /= N, target_width /= N;
  cuda::for_each(ctx, "copy_columns", int64_t{rows} * width, [=] __device__(int64_t item) {
    const auto i = static_cast<Index>(item);
    const Index row = i / width, column = i % width;
    const P in = from[int64_t{row} * source_width + column];
    P& place = to[int64_t{row} * target_width + column];
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
  const auto run = [&]<int N, class Index>(std::integral_constant<int, N>, Index) {
    copy_packs<T, N, Index>(ctx, from, to, static_cast<Index>(rows), static_cast<Index>(block.width),
                            static_cast<Index>(source_width), static_cast<Index>(target_width), accumulate);
  };
  const bool wide =
      cuda::are_aligned(from, to) && (block.width % kWide | source_width % kWide | target_width % kWide) == 0;
  if (rows * block.width > std::numeric_limits<uint32_t>::max())
    run(std::integral_constant<int, 1>(), int64_t{});
  else if (wide)
    run(std::integral_constant<int, kWide>(), uint32_t{});
  else
    run(std::integral_constant<int, 1>(), uint32_t{});
}

}  // namespace

void register_columns_cuda() {
  cuda::for_storage_types(
      []<class T>(T) { copy_columns.set(Backend::cuda, dtype_of<T>, copy_columns_cuda<T>); });
}

}  // namespace ctr
