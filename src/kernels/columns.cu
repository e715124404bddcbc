// SPDX-License-Identifier: Apache-2.0
#include "kernels/columns.h"

#include "kernels/elementwise.cuh"

namespace ctr {
namespace {

// A thread moves N neighbours of a piece, of several pieces at once: with narrow accesses only many reads
// under way keep the memory busy.
template <class T, int N>
__global__ void copy_kernel(const T* source, T* target, BlockPieces block, bool accumulate, int lanes) {
  using P = cuda::Pack<T, N>;
  constexpr int kPieces = 8;
  const int lane = threadIdx.x % lanes, groups = cuda::kBlock / lanes;
  const int64_t stride = int64_t{gridDim.x} * groups, packs = block.width / N;
  for (int64_t first = int64_t{blockIdx.x} * groups + threadIdx.x / lanes; first < block.count;
       first += stride * kPieces)
    for (int64_t pack = lane; pack < packs; pack += lanes) {
      P values[kPieces];
#pragma unroll
      for (int k = 0; k < kPieces; ++k)
        if (const int64_t p = first + k * stride; p < block.count)
          values[k] = *reinterpret_cast<const P*>(source + block.source(p) + pack * N);
#pragma unroll
      for (int k = 0; k < kPieces; ++k)
        if (const int64_t p = first + k * stride; p < block.count) {
          P& place = *reinterpret_cast<P*>(target + block.target(p) + pack * N);
          if (accumulate)
            for (int e = 0; e < N; ++e) cuda::store(place.v[e], cuda::load(values[k].v[e]), true);
          else
            place = values[k];
        }
    }
}

template <class T, int N>
void copy_packs(Context& ctx, const T* source, T* target, const BlockPieces& block, bool accumulate) {
  const int64_t packs = block.width / N;
  int lanes = 1;
  while (lanes < cuda::kBlock && lanes < packs) lanes *= 2;
  cuda::launch(ctx, "copy_columns", {cuda::grid_for(cuda::stream_of(ctx), block.count, cuda::kBlock / lanes)},
               copy_kernel<T, N>, source, target, block, accumulate, lanes);
}

// Whether every piece begins at a multiple of n elements.
bool begins_at_multiples(const PiecePlaces& p, int64_t n) {
  const int64_t all = p.first | p.stride | (p.is_plain ? 0 : p.row | p.run | p.width);
  return all % n == 0;
}

template <class T>
void copy_columns_cuda(Context& ctx, const Tensor& source, const Tensor& target, int64_t rows,
                       ColumnBlock block, bool accumulate) {
  const BlockPieces pieces = cut_block(source, target, rows, block);
  if (pieces.count == 0) return;
  constexpr int kWide = cuda::kPack<T>;
  const T* from = source.first<T>();
  T* to = target.first<T>();
  const bool wide = cuda::are_aligned(from, to) && pieces.width % kWide == 0 &&
                    begins_at_multiples(pieces.source, kWide) && begins_at_multiples(pieces.target, kWide);
  (wide ? copy_packs<T, kWide> : copy_packs<T, 1>)(ctx, from, to, pieces, accumulate);
}

}  // namespace

void register_columns_cuda() {
  cuda::for_storage_types(
      []<class T>(T) { copy_columns.set(Backend::cuda, dtype_of<T>, copy_columns_cuda<T>); });
}

}  // namespace ctr
