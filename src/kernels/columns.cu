// SPDX-License-Identifier: Apache-2.0
#include "kernels/columns.h"

#include "kernels/elementwise.cuh"

namespace ctr {
namespace {

// A thread moves N neighbours of a row, of several rows at once: with narrow accesses only many reads under
// way keep the memory busy.
template <class T, int N>
__global__ void copy_kernel(const T* source, T* target, int64_t rows, int64_t packs, int64_t source_width,
                            int64_t target_width, bool accumulate, int lanes) {
  using P = cuda::Pack<T, N>;
  constexpr int kRows = 8;
  const int lane = threadIdx.x % lanes, groups = cuda::kBlock / lanes;
  const int64_t stride = int64_t{gridDim.x} * groups;
  for (int64_t first = int64_t{blockIdx.x} * groups + threadIdx.x / lanes; first < rows;
       first += stride * kRows)
    for (int64_t pack = lane; pack < packs; pack += lanes) {
      P values[kRows];
#pragma unroll
      for (int k = 0; k < kRows; ++k)
        if (const int64_t r = first + k * stride; r < rows)
          values[k] = *reinterpret_cast<const P*>(source + r * source_width + pack * N);
#pragma unroll
      for (int k = 0; k < kRows; ++k)
        if (const int64_t r = first + k * stride; r < rows) {
          P& place = *reinterpret_cast<P*>(target + r * target_width + pack * N);
          if (accumulate)
            for (int e = 0; e < N; ++e) cuda::store(place.v[e], cuda::load(values[k].v[e]), true);
          else
            place = values[k];
        }
    }
}

// Widths are in elements.
template <class T, int N>
void copy_packs(Context& ctx, const T* source, T* target, int64_t rows, int64_t width, int64_t source_width,
                int64_t target_width, bool accumulate) {
  if (width == 0) return;
  const int64_t packs = width / N;
  int lanes = 1;
  while (lanes < cuda::kBlock && lanes < packs) lanes *= 2;
  cuda::launch(ctx, "copy_columns", {cuda::grid_for(cuda::stream_of(ctx), rows, cuda::kBlock / lanes)},
               copy_kernel<T, N>, source, target, rows, packs, source_width, target_width, accumulate, lanes);
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
