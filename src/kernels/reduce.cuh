// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "device/cuda.cuh"
#include "kernels/storage.cuh"

namespace ctr::cuda {

// Sums whose order depends on the sizes alone: the same bits every time on one kind of device.

template <class A>
__device__ inline A warp_sum(A value) {
  for (int offset = 16; offset > 0; offset /= 2) value += __shfl_xor_sync(0xffffffffu, value, offset);
  return value;
}

// Sum over the block's kBlock threads, for all of them.
template <class A>
__device__ inline A block_sum(A value) {
  __shared__ A parts[kBlock / 32];
  value = warp_sum(value);
  if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = value;
  __syncthreads();
  A sum = 0;
  for (const A part : parts) sum += part;
  __syncthreads();
  return sum;
}

// Whether this block is the last of the grid to come here; what the others have written before is visible
// then.
__device__ inline bool is_last_block(unsigned* counter) {
  __shared__ bool is_last;
  __threadfence();
  __syncthreads();
  if (threadIdx.x == 0)
    is_last = atomicInc(counter, gridDim.x - 1) == gridDim.x - 1;  // the last one resets it
  __syncthreads();
  __threadfence();
  return is_last;
}

template <class F, class Finish>
__global__ void sum_all_kernel(int64_t n, double* parts, unsigned* counter, F f, Finish finish) {
  double sum = 0;
  for (int64_t i = int64_t{blockIdx.x} * kBlock + threadIdx.x; i < n; i += int64_t{gridDim.x} * kBlock)
    sum += f(i);
  sum = block_sum(sum);
  if (threadIdx.x == 0) parts[blockIdx.x] = sum;
  if (!is_last_block(counter)) return;
  sum = 0;
  for (unsigned i = threadIdx.x; i < gridDim.x; i += kBlock) sum += __ldcg(&parts[i]);
  sum = block_sum(sum);
  if (threadIdx.x == 0) finish(sum);
}

// finish(sum of f(i) over [0, n)) on one thread. f also sees every index once, so it may do the elements' own
// work.
template <class F, class Finish>
void sum_all(const Context& ctx, std::string_view name, int64_t n, F f, Finish finish) {
  Stream& stream = stream_of(ctx);
  const unsigned blocks = grid_for(stream, n, 4 * kBlock);
  launch(ctx, name, {blocks}, sum_all_kernel<F, Finish>, n, stream.workspace<double>(blocks),
         stream.counter(), f, finish);
}

// Tiles of 32 columns by a part of the rows.
inline constexpr int kColumns = 32, kRowsAtOnce = kBlock / kColumns;

template <int K, class A, class F>
__global__ void column_parts_kernel(int64_t rows, int64_t columns, A* parts, F f) {
  __shared__ A sums[kRowsAtOnce][kColumns];
  const int lane = threadIdx.x % kColumns, line = threadIdx.x / kColumns;
  const int64_t column = int64_t{blockIdx.x} * kColumns + lane;
  const int64_t begin = rows * blockIdx.y / gridDim.y, end = rows * (blockIdx.y + 1) / gridDim.y;
  A sum[K] = {};
  if (column < columns)
#pragma unroll 2
    for (int64_t r = begin + line; r < end; r += kRowsAtOnce) f(r, column, sum);
  for (int k = 0; k < K; ++k) {
    sums[line][lane] = sum[k];
    __syncthreads();
    if (line == 0 && column < columns) {
      A total = 0;
      for (int i = 0; i < kRowsAtOnce; ++i) total += sums[i][lane];
      parts[(int64_t{blockIdx.y} * K + k) * columns + column] = total;
    }
    __syncthreads();
  }
}
// Adds the parts up: each line of threads every so many, then the lines in order.
template <int K, class A, class Finish>
__global__ void column_finish_kernel(int64_t columns, int parts_count, const A* parts, Finish finish) {
  __shared__ A sums[kRowsAtOnce][kColumns][K];
  const int lane = threadIdx.x % kColumns, line = threadIdx.x / kColumns;
  const int64_t column = int64_t{blockIdx.x} * kColumns + lane;
  A sum[K] = {};
  if (column < columns)
    for (int part = line; part < parts_count; part += kRowsAtOnce)
      for (int k = 0; k < K; ++k) sum[k] += parts[(int64_t{part} * K + k) * columns + column];
  for (int k = 0; k < K; ++k) sums[line][lane][k] = sum[k];
  __syncthreads();
  if (line > 0 || column >= columns) return;
  for (int i = 1; i < kRowsAtOnce; ++i)
    for (int k = 0; k < K; ++k) sum[k] += sums[i][lane][k];
  finish(column, sum);
}
template <int K, class A, class Finish>
void finish_columns(const Context& ctx, std::string_view name, int64_t columns, unsigned parts, const A* sums,
                    Finish finish) {
  launch(ctx, name, {static_cast<unsigned>(divide_up(columns, kColumns))}, column_finish_kernel<K, A, Finish>,
         columns, static_cast<int>(parts), sums, finish);
}

// K sums down every column: f(row, column, A sums[K]) adds one element to them, finish(column, sums) takes
// them.
template <int K, class A, class F, class Finish>
void sum_columns(const Context& ctx, std::string_view name, int64_t rows, int64_t columns, F f,
                 Finish finish) {
  Stream& stream = stream_of(ctx);
  const int64_t tiles = divide_up(columns, kColumns);
  const auto room = static_cast<int64_t>(Stream::kMaxWorkspaceBytes / (sizeof(A) * K)) / columns;
  const int64_t wanted = divide_up(int64_t{stream.multiprocessors()} * std::max(4, 16 / K), tiles);
  const auto parts =
      static_cast<unsigned>(std::clamp<int64_t>(std::min(wanted, rows / (4 * kRowsAtOnce)), 1, room));
  auto* sums = stream.workspace<A>(int64_t{parts} * K * columns);
  launch(ctx, name, {dim3(static_cast<unsigned>(tiles), parts)}, column_parts_kernel<K, A, F>, rows, columns,
         sums, f);
  finish_columns<K, A>(ctx, name, columns, parts, sums, finish);
}

// The same for N columns a thread, as wide accesses want it: f(row, first, sums) adds to the N sums of
// columns first, first + 1, ..., as many of them as there are.
template <int N, class F>
__global__ void pack_parts_kernel(int64_t rows, int packs, int lanes, float* parts, F f) {
  __shared__ float sums[kBlock * N];
  const int lane = threadIdx.x % lanes, line = threadIdx.x / lanes, lines = kBlock / lanes;
  const int pack = static_cast<int>(blockIdx.x) * lanes + lane;
  const int64_t begin = rows * blockIdx.y / gridDim.y, end = rows * (blockIdx.y + 1) / gridDim.y;
  float sum[N] = {};
  if (pack < packs)
#pragma unroll 4
    for (int64_t r = begin + line; r < end; r += lines) f(r, int64_t{pack} * N, sum);
  for (int k = 0; k < N; ++k) sums[(line * lanes + lane) * N + k] = sum[k];
  __syncthreads();
  for (int i = threadIdx.x; i < lanes * N; i += kBlock) {
    const int64_t column = int64_t{blockIdx.x} * lanes * N + i;
    if (column >= int64_t{packs} * N) break;
    float total = 0;
    for (int l = 0; l < lines; ++l) total += sums[l * lanes * N + i];
    parts[blockIdx.y * int64_t{packs} * N + column] = total;
  }
}
template <int N, class F, class Finish>
void sum_column_packs(const Context& ctx, std::string_view name, int64_t rows, int64_t columns, F f,
                      Finish finish) {
  Stream& stream = stream_of(ctx);
  const auto packs = static_cast<int>(divide_up(columns, N));
  int lanes = 1;
  while (lanes < 32 && lanes < packs) lanes *= 2;
  const int64_t tiles = divide_up(packs, lanes), lines = kBlock / lanes;
  const int64_t padded = int64_t{packs} * N;
  const auto room = static_cast<int64_t>(Stream::kMaxWorkspaceBytes / sizeof(float)) / padded;
  const int64_t wanted = divide_up(int64_t{stream.multiprocessors()} * 8, tiles);
  const auto parts =
      static_cast<unsigned>(std::clamp<int64_t>(std::min(wanted, rows / (4 * lines)), 1, room));
  auto* sums = stream.workspace<float>(parts * padded);
  launch(ctx, name, {dim3(static_cast<unsigned>(tiles), parts)}, pack_parts_kernel<N, F>, rows, packs, lanes,
         sums, f);
  finish_columns<1, float>(ctx, name, padded, parts, sums, [=] __device__(int64_t column, const float* sum) {
    if (column < columns) finish(column, sum);
  });
}

}  // namespace ctr::cuda
