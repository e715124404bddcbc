// SPDX-License-Identifier: Apache-2.0
#include "layers/interaction_mma.cuh"

#include "device/cuda.cuh"
#include "kernels/mma.cuh"
#include "kernels/storage.cuh"

namespace ctr::cuda {
namespace {

constexpr int kPad = 8;  // elements, so that rows side by side lie in different banks
constexpr int kWarps = 4;

// A warp works on one sample. In shared memory lie its rows z, padded with zeros to tiles of 16, its row of y
// or d_y, and for backward the symmetric matrix of the pairs' gradients.
struct Layout {
  InteractionShape shape;
  int rows, padded, dim, stride, width, line, pair_stride;

  Layout(const InteractionShape& s, bool backward)
      : shape(s),
        rows(static_cast<int>(s.rows())),
        padded((rows + 15) / 16 * 16),
        dim(static_cast<int>(s.dim)),
        stride(dim + kPad),
        width(static_cast<int>(s.width())),
        line((width + 7) / 8 * 8),
        pair_stride(backward ? padded + kPad : 0) {}
  __host__ __device__ int elements_per_warp() const { return padded * (stride + pair_stride) + line; }
  size_t bytes() const { return static_cast<size_t>(elements_per_warp()) * kWarps * sizeof(uint16_t); }
  // The parts of a warp's share.
  template <class T>
  __device__ T* line_of(T* z) const {
    return z + padded * stride;
  }
  template <class T>
  __device__ T* pairs_of(T* z) const {
    return z + padded * stride + line;
  }
};

constexpr size_t kMostShared = 227 << 10;

bool fits(const Layout& l) { return l.dim % 16 == 0 && l.bytes() <= kMostShared; }

// Elements of 16-byte pack i of row r of sample b.
template <class T>
__device__ inline T* pack_of(const Layout& l, const Matrix<T>& m, const Matrix<T>& f, int64_t b, int r,
                             int i) {
  return (r == 0 ? m.at(b) : f.at(b, int64_t{r - 1} * l.dim)) + i * 8;
}

// body(row, pack) for the 16-byte packs of a sample's rows, shared by the warp.
template <class Body>
__device__ inline void for_each_pack(const Layout& l, const Body& body) {
  const int packs = l.dim / 8, rows_at_once = 32 / packs, packs_at_once = 32 % packs;
  const int lane = threadIdx.x % 32;
  for (int r = lane / packs, i = lane % packs; r < l.rows;) {
    body(r, i);
    r += rows_at_once, i += packs_at_once;
    if (i >= packs) ++r, i -= packs;
  }
}

// The rows beyond the last are zero, once and for all.
template <class T>
__device__ void clear(const Layout& l, T* z) {
  for (int i = l.rows * l.stride + threadIdx.x % 32; i < l.padded * l.stride; i += 32) z[i] = rounded<T>(0);
  for (int i = threadIdx.x % 32; i < l.padded * l.pair_stride; i += 32) l.pairs_of(z)[i] = rounded<T>(0);
  __syncwarp();
}

// All reads are under way before the first is waited for.
template <class T>
__device__ void load_rows(const Layout& l, const Matrix<T>& m, const Matrix<T>& f, int64_t b, T* z) {
  for_each_pack(l, [&](int r, int i) { copy_async(z + r * l.stride + i * 8, pack_of(l, m, f, b, r, i)); });
  wait_for_copies();
  __syncwarp();
}

// Copies one row of y between shared and device memory.
template <class T>
__device__ void copy_line(const Layout& l, bool wide, const T* from, T* to) {
  const int packs = wide ? l.width / 8 : 0;
  for (int i = threadIdx.x % 32; i < packs; i += 32)
    reinterpret_cast<Pack<T, 8>*>(to)[i] = reinterpret_cast<const Pack<T, 8>*>(from)[i];
  for (int i = packs * 8 + threadIdx.x % 32; i < l.width; i += 32) to[i] = from[i];
  __syncwarp();
}

// The row of a 16 x 16 tile that this thread names to load_blocks().
template <class T>
__device__ inline const T* block_row(const T* tile, int stride) {
  const int lane = threadIdx.x % 32;
  return tile + lane % 16 * stride + lane / 16 * 8;
}

// out[pair(i, j)] = <z_i, z_j> for j < i; kTiles tiles of 16 rows.
template <class T, int kTiles>
__device__ void multiply_pairs(const Layout& l, const T* z, T* out) {
  float sum[kTiles][2 * kTiles][4] = {};
  for (int k = 0; k < l.dim; k += 16) {
    uint32_t rows[kTiles][4];
#pragma unroll
    for (int t = 0; t < kTiles; ++t) load_blocks(rows[t], block_row(z + t * 16 * l.stride + k, l.stride));
#pragma unroll
    for (int i = 0; i < kTiles; ++i)
#pragma unroll
      for (int j = 0; j <= i; ++j) {
        multiply_add<T>(sum[i][2 * j], rows[i], rows[j][0], rows[j][2]);
        multiply_add<T>(sum[i][2 * j + 1], rows[i], rows[j][1], rows[j][3]);
      }
  }
  const int lane = threadIdx.x % 32;
#pragma unroll
  for (int i = 0; i < kTiles; ++i)
#pragma unroll
    for (int j = 0; j < 2 * (i + 1); ++j)
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        const int row = i * 16 + lane / 4 + e / 2 * 8, column = j * 8 + lane % 4 * 2 + e % 2;
        if (row < l.rows && column < row) out[l.shape.pair(row, column)] = rounded<T>(sum[i][j][e]);
      }
}

template <class T, int kTiles>
__global__ void __launch_bounds__(kWarps * 32)
    forward_kernel(Layout l, Matrix<T> m, Matrix<T> f, Matrix<T> y) {
  extern __shared__ uint4 shared[];
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  T* z = reinterpret_cast<T*>(shared) + warp * l.elements_per_warp();
  T* out = l.line_of(z);
  clear(l, z);
  for (int64_t b = int64_t{blockIdx.x} * kWarps + warp; b < l.shape.batch; b += int64_t{gridDim.x} * kWarps) {
    load_rows(l, m, f, b, z);
    for (int e = lane; e < l.dim; e += 32) out[e] = z[e];
    if (lane == 0) out[l.width - 1] = rounded<T>(0);
    multiply_pairs<T, kTiles>(l, z, out);
    __syncwarp();
    copy_line(l, y.stride % 8 == 0, out, y.at(b));
  }
}

template <class T>
struct Gradients {
  Matrix<T> d_m, d_f;
  bool accumulate_m, accumulate_f;
};

// d_z = A z, sixteen columns at a time, in the place of the columns it was computed from.
template <class T, int kTiles>
__device__ void multiply_in_place(const Layout& l, const T* pairs, T* z) {
  const int lane = threadIdx.x % 32;
  uint32_t left[kTiles][kTiles][4];
#pragma unroll
  for (int i = 0; i < kTiles; ++i)
#pragma unroll
    for (int k = 0; k < kTiles; ++k)
      load_blocks(left[i][k], block_row(pairs + i * 16 * l.pair_stride + k * 16, l.pair_stride));
  for (int column = 0; column < l.dim; column += 16) {
    uint32_t right[kTiles][4];
#pragma unroll
    for (int k = 0; k < kTiles; ++k)
      load_blocks_transposed(right[k], block_row(z + k * 16 * l.stride + column, l.stride));
    float sum[kTiles][2][4] = {};
#pragma unroll
    for (int i = 0; i < kTiles; ++i)
#pragma unroll
      for (int k = 0; k < kTiles; ++k)
#pragma unroll
        for (int half = 0; half < 2; ++half)
          multiply_add<T>(sum[i][half], left[i][k], right[k][2 * half], right[k][2 * half + 1]);
    __syncwarp();
#pragma unroll
    for (int i = 0; i < kTiles; ++i)
#pragma unroll
      for (int part = 0; part < 4; ++part) {  // two neighbours in one access
        const int half = part / 2, lower = part % 2;
        const float* d = &sum[i][half][2 * lower];
        const Pack<T, 2> pair = {{rounded<T>(d[0]), rounded<T>(d[1])}};
        *reinterpret_cast<Pack<T, 2>*>(z + (i * 16 + lane / 4 + lower * 8) * l.stride + column + half * 8 +
                                       lane % 4 * 2) = pair;
      }
    __syncwarp();
  }
}

template <class T>
__device__ void store_rows(const Layout& l, const Gradients<T>& out, int64_t b, const T* z, const T* g) {
  for_each_pack(l, [&](int r, int i) {
    if (!(r == 0 ? out.d_m : out.d_f).data) return;
    auto* place = reinterpret_cast<Pack<T, 8>*>(pack_of(l, out.d_m, out.d_f, b, r, i));
    const bool accumulate = r == 0 ? out.accumulate_m : out.accumulate_f;
    const auto d = *reinterpret_cast<const Pack<T, 8>*>(z + r * l.stride + i * 8);
    Pack<T, 8> result;
    if (accumulate) result = *place;
    for (int e = 0; e < 8; ++e)
      store(result.v[e], load(d.v[e]) + (r == 0 ? load(g[i * 8 + e]) : 0.0f), accumulate);
    *place = result;
  });
}

template <class T, int kTiles>
__global__ void __launch_bounds__(kWarps * 32)
    backward_kernel(Layout l, Matrix<T> m, Matrix<T> f, Matrix<T> d_y, Gradients<T> out) {
  extern __shared__ uint4 shared[];
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  T* z = reinterpret_cast<T*>(shared) + warp * l.elements_per_warp();
  T *pairs = l.pairs_of(z), *g = l.line_of(z);
  clear(l, z);
  for (int64_t b = int64_t{blockIdx.x} * kWarps + warp; b < l.shape.batch; b += int64_t{gridDim.x} * kWarps) {
    copy_line(l, d_y.stride % 8 == 0, static_cast<const T*>(d_y.at(b)), g);
    for (int i = 0; i < l.rows; ++i)
      for (int j = lane; j < l.rows; j += 32)
        if (i != j) pairs[i * l.pair_stride + j] = g[l.shape.pair(max(i, j), min(i, j))];
    load_rows(l, m, f, b, z);
    multiply_in_place<T, kTiles>(l, pairs, z);
    store_rows(l, out, b, z, g);
    __syncwarp();
  }
}

// Every sample begins where a wide access may.
bool begin_aligned(const InteractionShape& s, const Tensor& m, const Tensor& f) {
  const int64_t strides = (m ? m.row_stride() : 0) | (f ? f.row_stride(s.slots * s.dim) : 0);
  return strides % 8 == 0;
}

InteractionShape shape_of(const Tensor& f) { return {f.shape()[0], f.shape()[1], f.shape()[2]}; }

template <class... Params, class... Args>
void launch_warps(const Context& ctx, std::string_view name, const Layout& l,
                  void (*kernel)(Layout, Params...), Args... args) {
  if (l.shape.batch == 0) return;
  check(
      cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(l.bytes())),
      name);
  launch(ctx, name, {grid_for(stream_of(ctx), l.shape.batch, kWarps), kWarps * 32, l.bytes()}, kernel, l,
         args...);
}

// Calls f(T{}, tiles) for a 16-bit type and the tiles of 16 rows, a compile-time constant. False where there
// are too many.
template <class F>
bool with_tiles(DType dtype, int tiles, F&& f) {
  constexpr int kMaxTiles = 4;
  if (dtype == DType::f32 || tiles > kMaxTiles) return false;
  with_storage_type(dtype, [&]<class T>(T value) {
    if constexpr (sizeof(T) == sizeof(uint16_t)) {
      if (tiles == 1) f(value, std::integral_constant<int, 1>());
      if (tiles == 2) f(value, std::integral_constant<int, 2>());
      if (tiles == 3) f(value, std::integral_constant<int, 3>());
      if (tiles == 4) f(value, std::integral_constant<int, 4>());
    }
  });
  return true;
}

}  // namespace

bool interaction_mma_forward(const Context& ctx, const Tensor& m, const Tensor& f, const Tensor& y) {
  const InteractionShape s = shape_of(f);
  const Layout l(s, false);
  if (!fits(l) || !are_aligned(m.raw(), f.raw(), y.raw()) || !begin_aligned(s, m, f)) return false;
  return with_tiles(f.dtype(), l.padded / 16,
                    [&]<class T, int kTiles>(T, std::integral_constant<int, kTiles>) {
                      launch_warps(ctx, "Interaction.forward", l, forward_kernel<T, kTiles>, m.matrix<T>(),
                                   f.matrix<T>(s.slots * s.dim), y.matrix<T>());
                    });
}

bool interaction_mma_backward(const Context& ctx, const Tensor& m, const Tensor& f, const Tensor& d_y,
                              const InteractionGradient& out) {
  const InteractionShape s = shape_of(f);
  const Layout l(s, true);
  if (!fits(l) || !are_aligned(m.raw(), f.raw(), d_y.raw(), out.d_m.raw(), out.d_f.raw()) ||
      !begin_aligned(s, m, f) || !begin_aligned(s, out.d_m, out.d_f))
    return false;
  return with_tiles(f.dtype(), l.padded / 16,
                    [&]<class T, int kTiles>(T, std::integral_constant<int, kTiles>) {
                      const Gradients<T> gradients{out.d_m ? out.d_m.matrix<T>() : Matrix<T>{},
                                                   out.d_f ? out.d_f.matrix<T>(s.slots * s.dim) : Matrix<T>{},
                                                   out.accumulate_m, out.accumulate_f};
                      launch_warps(ctx, "Interaction.backward", l, backward_kernel<T, kTiles>, m.matrix<T>(),
                                   f.matrix<T>(s.slots * s.dim), d_y.matrix<T>(), gradients);
                    });
}

}  // namespace ctr::cuda
