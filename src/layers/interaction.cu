// SPDX-License-Identifier: Apache-2.0
#include "layers/interaction.h"

#include "kernels/elementwise.cuh"
#include "layers/interaction_mma.cuh"

namespace ctr {
namespace {

// A warp works on one sample, whose rows lie in shared memory as floats. Rows are padded to whole tiles, and
// their length so that rows side by side lie in different banks.
constexpr int kTile = 4;
constexpr int kMaxWarps = 8;

struct Layout {
  InteractionShape shape;
  int tiles;      // of rows
  int stride;     // floats from row to row
  int pairs;      // floats for the pairs' gradients (backward): [tiles * kTile] squared, or 0
  int warps = 0;  // that fit a block

  Layout(const InteractionShape& s, bool backward, size_t shared_bytes)
      : shape(s),
        tiles(static_cast<int>(cuda::divide_up(s.rows(), kTile))),
        stride(static_cast<int>(cuda::divide_up(s.dim, kTile)) * kTile + kTile),
        pairs(backward ? tiles * kTile * tiles * kTile : 0) {
    warps = static_cast<int>(std::min<size_t>(kMaxWarps, shared_bytes / bytes_per_warp()));
    if (warps == 0)
      fail(ErrorKind::unsupported, "Interaction: {} rows of {} do not fit the GPU's shared memory", s.rows(),
           s.dim);
  }
  __host__ __device__ int floats_per_warp() const { return tiles * kTile * stride + pairs; }
  size_t bytes_per_warp() const { return static_cast<size_t>(floats_per_warp()) * sizeof(float); }
};

__device__ inline float4 at(const float* p) { return *reinterpret_cast<const float4*>(p); }
__device__ inline float dot(float4 a, float4 b, float sum) {
  return fmaf(a.x, b.x, fmaf(a.y, b.y, fmaf(a.z, b.z, fmaf(a.w, b.w, sum))));
}

// Rows of sample b; what lies beyond the last row and element is 0.
template <class T>
__device__ void load_rows(const Layout& l, const Matrix<T>& m, const Matrix<T>& f, int64_t b, float* z) {
  const int lane = threadIdx.x % 32, rows = static_cast<int>(l.shape.rows()),
            dim = static_cast<int>(l.shape.dim);
  for (int r = 0; r < l.tiles * kTile; ++r) {
    const T* row = r == 0 ? m.at(b) : f.at(b, int64_t{r - 1} * dim);
    for (int e = lane; e < l.stride; e += 32)
      z[r * l.stride + e] = r < rows && e < dim ? cuda::load(row[e]) : 0.0f;
  }
  __syncwarp();
}

template <class T>
__global__ void forward_kernel(Layout l, Matrix<T> m, Matrix<T> f, Matrix<T> y) {
  extern __shared__ float4 shared[];
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32;
  float* z = reinterpret_cast<float*>(shared) + warp * l.floats_per_warp();
  const InteractionShape& s = l.shape;
  for (int64_t b = int64_t{blockIdx.x} * warps + warp; b < s.batch; b += int64_t{gridDim.x} * warps) {
    load_rows(l, m, f, b, z);
    T* out = y.at(b);
    for (int e = lane; e < s.dim; e += 32) out[e] = cuda::rounded<T>(z[e]);
    if (lane == 0) out[s.width() - 1] = cuda::rounded<T>(0);
    for (int t = lane; t < l.tiles * (l.tiles + 1) / 2; t += 32) {
      int ti = 0;  // tile t of the lower triangle, row by row
      while ((ti + 1) * (ti + 2) / 2 <= t) ++ti;
      const int tj = t - ti * (ti + 1) / 2;
      const float *a = z + ti * kTile * l.stride, *c = z + tj * kTile * l.stride;
      float sum[kTile][kTile] = {};
      for (int e = 0; e < s.dim; e += 4) {
        float4 left[kTile], right[kTile];
        for (int i = 0; i < kTile; ++i)
          left[i] = at(a + i * l.stride + e), right[i] = at(c + i * l.stride + e);
        for (int i = 0; i < kTile; ++i)
          for (int j = 0; j < kTile; ++j) sum[i][j] = dot(left[i], right[j], sum[i][j]);
      }
      for (int i = 0; i < kTile; ++i)
        for (int j = 0; j < kTile; ++j) {
          const int row = ti * kTile + i, column = tj * kTile + j;
          if (row < s.rows() && column < row) out[s.pair(row, column)] = cuda::rounded<T>(sum[i][j]);
        }
    }
    __syncwarp();
  }
}

template <class T>
struct Gradients {
  Matrix<T> d_m, d_f;
  bool accumulate_m, accumulate_f;
};

// d_z[i] = sum_j A[i, j] z[j], A being the symmetric matrix of the pairs' gradients: a lane owns four
// elements of four rows at a time.
template <class T>
__global__ void backward_kernel(Layout l, Matrix<T> m, Matrix<T> f, Matrix<T> d_y, Gradients<T> out) {
  extern __shared__ float4 shared[];
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32;
  float* z = reinterpret_cast<float*>(shared) + warp * l.floats_per_warp();
  const InteractionShape& s = l.shape;
  const int padded = l.tiles * kTile, rows = static_cast<int>(s.rows()), dim = static_cast<int>(s.dim);
  float* pairs = z + padded * l.stride;
  for (int64_t b = int64_t{blockIdx.x} * warps + warp; b < s.batch; b += int64_t{gridDim.x} * warps) {
    const T* g = d_y.at(b);
    load_rows(l, m, f, b, z);
    for (int k = lane; k < padded * padded; k += 32) {
      const int i = k / padded, j = k % padded, high = max(i, j), low = min(i, j);
      pairs[k] = i == j || high >= rows ? 0.0f : cuda::load(g[s.pair(high, low)]);
    }
    __syncwarp();
    const int quads = (dim + 3) / 4;
    for (int item = lane; item < l.tiles * quads; item += 32) {
      const int i0 = item / quads * kTile, e0 = item % quads * 4;
      float sum[kTile][4] = {};
      for (int j = 0; j < rows; ++j) {
        const float4 weight = at(pairs + j * padded + i0), v = at(z + j * l.stride + e0);
        const float w[kTile] = {weight.x, weight.y, weight.z, weight.w}, x[4] = {v.x, v.y, v.z, v.w};
        for (int i = 0; i < kTile; ++i)
          for (int e = 0; e < 4; ++e) sum[i][e] = fmaf(w[i], x[e], sum[i][e]);
      }
      for (int i = 0; i < kTile; ++i)
        for (int e = 0; e < 4; ++e) {
          const int row = i0 + i, column = e0 + e;
          if (row >= rows || column >= dim) continue;
          if (row > 0) {
            if (out.d_f.data)
              cuda::store(*out.d_f.at(b, int64_t{row - 1} * dim + column), sum[i][e], out.accumulate_f);
          } else if (out.d_m.data) {
            cuda::store(*out.d_m.at(b, column), sum[i][e] + cuda::load(g[column]), out.accumulate_m);
          }
        }
    }
    __syncwarp();
  }
}

template <class... Params, class... Args>
void launch_warps(Context& ctx, std::string_view name, const Layout& l, void (*kernel)(Layout, Params...),
                  Args... args) {
  if (l.shape.batch == 0) return;
  const size_t bytes = l.bytes_per_warp() * static_cast<size_t>(l.warps);
  cuda::check(
      cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(bytes)),
      name);
  cuda::launch(ctx, name,
               {cuda::grid_for(cuda::stream_of(ctx), l.shape.batch, l.warps),
                static_cast<unsigned>(l.warps * 32), bytes},
               kernel, l, args...);
}

// Blocks of about a quarter of a multiprocessor's shared memory, so that several take turns; one warp may
// need more.
size_t shared_budget(const InteractionShape& s, bool backward) {
  constexpr size_t kQuarter = 56 << 10, kMost = 227 << 10;
  return Layout(s, backward, kMost).bytes_per_warp() > kQuarter ? kMost : kQuarter;
}

InteractionShape shape_of(const Tensor& f) { return {f.shape()[0], f.shape()[1], f.shape()[2]}; }

template <class T>
void forward_cuda(Context& ctx, const Tensor& m, const Tensor& f, const Tensor& y) {
  if (cuda::interaction_mma_forward(ctx, m, f, y)) return;
  const InteractionShape s = shape_of(f);
  launch_warps(ctx, "Interaction.forward", Layout(s, false, shared_budget(s, false)), forward_kernel<T>,
               m.matrix<T>(), f.matrix<T>(s.slots * s.dim), y.matrix<T>());
}

template <class T>
void backward_cuda(Context& ctx, const Tensor& m, const Tensor& f, const Tensor& d_y,
                   const InteractionGradient& out) {
  if (cuda::interaction_mma_backward(ctx, m, f, d_y, out)) return;
  const InteractionShape s = shape_of(f);
  const Gradients<T> gradients{out.d_m ? out.d_m.matrix<T>() : Matrix<T>{},
                               out.d_f ? out.d_f.matrix<T>(s.slots * s.dim) : Matrix<T>{}, out.accumulate_m,
                               out.accumulate_f};
  launch_warps(ctx, "Interaction.backward", Layout(s, true, shared_budget(s, true)), backward_kernel<T>,
               m.matrix<T>(), f.matrix<T>(s.slots * s.dim), d_y.matrix<T>(), gradients);
}

}  // namespace

void register_interaction_cuda() {
  cuda::for_storage_types([]<class T>(T) {
    interaction_forward.set(Backend::cuda, dtype_of<T>, forward_cuda<T>);
    interaction_backward.set(Backend::cuda, dtype_of<T>, backward_cuda<T>);
  });
}

}  // namespace ctr
