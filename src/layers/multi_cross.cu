// SPDX-License-Identifier: Apache-2.0
#include "layers/multi_cross.h"

#include "kernels/elementwise.cuh"
#include "kernels/reduce.cuh"

namespace ctr {
namespace {

constexpr int64_t kMaxLayers = 32;
constexpr int kWarps = cuda::kBlock / 32;
constexpr int kAtOnce = 8;  // layers that one pass over a row serves

// w_l and b_l, or their gradients.
struct Weights {
  float *w[kMaxLayers], *b[kMaxLayers];
  int count;

  explicit Weights(std::span<const Tensor> tensors) : count(static_cast<int>(tensors.size() / 2)) {
    if (count > kMaxLayers)
      fail(ErrorKind::unsupported, "MultiCross has up to {} layers on a GPU, got {}", kMaxLayers, count);
    for (int l = 0; l < count; ++l) {
      w[l] = tensors[static_cast<size_t>(2 * l)].data<float>();
      b[l] = tensors[static_cast<size_t>(2 * l + 1)].data<float>();
    }
  }
};

// beta_l = sum of b_j below l; c_l = <beta_l, w_l>. One block.
__global__ void offsets_kernel(Weights weights, int64_t n, float* beta, float* c) {
  float sums[kMaxLayers];
  for (int l = 0; l < weights.count; ++l) sums[l] = 0;
  for (int64_t i = threadIdx.x; i < n; i += cuda::kBlock) {
    float offset = 0;
#pragma unroll 4
    for (int l = 0; l < weights.count; ++l) {
      beta[l * n + i] = offset;
      sums[l] += offset * cuda::load_constant(weights.w[l] + i);
      offset += cuda::load_constant(weights.b[l] + i);
    }
    beta[weights.count * n + i] = offset;
  }
  for (int l = 0; l < weights.count; ++l) {
    const float sum = cuda::block_sum(sums[l]);
    if (threadIdx.x == 0) c[l] = sum;
  }
}

// A warp takes R rows at a time, so that it reads the weights once for all of them.
template <class T, int R>
__global__ void forward_kernel(Weights weights, Matrix<T> x, const float* offset, const float* c, float* p,
                               Matrix<T> y) {
  const int64_t rows = x.rows, n = x.columns;
  const int lane = threadIdx.x % 32, layers = weights.count;
  for (int64_t row = (int64_t{blockIdx.x} * kWarps + threadIdx.x / 32) * R; row < rows;
       row += int64_t{gridDim.x} * kWarps * R) {
    const T* in[R];
    float a[R];
    for (int r = 0; r < R; ++r) in[r] = x.at(min(row + r, rows - 1)), a[r] = 1;
    for (int first = 0; first < layers; first += kAtOnce) {
      float dots[R][kAtOnce] = {};
#pragma unroll R == 1 ? 4 : 2
      for (int64_t i = lane; i < n; i += 32) {
        float v[R];
#pragma unroll
        for (int r = 0; r < R; ++r) v[r] = cuda::load_constant(in[r] + i);
#pragma unroll
        for (int k = 0; k < kAtOnce; ++k) {
          const float w = cuda::load_constant(weights.w[min(first + k, layers - 1)] + i);
#pragma unroll
          for (int r = 0; r < R; ++r) dots[r][k] += v[r] * w;
        }
      }
#pragma unroll
      for (int k = 0; k < kAtOnce; ++k) {
#pragma unroll
        for (int r = 0; r < R; ++r) {
          const float dot = cuda::warp_sum(dots[r][k]);
          if (first + k >= layers) continue;
          if (lane == 0 && row + r < rows) p[(row + r) * layers + first + k] = dot;
          a[r] += a[r] * dot + c[first + k];
        }
      }
    }
#pragma unroll R == 1 ? 4 : 2
    for (int64_t i = lane; i < n; i += 32) {
      const float end = cuda::load_constant(offset + i);
#pragma unroll
      for (int r = 0; r < R; ++r)
        if (row + r < rows) *y.at(row + r, i) = cuda::rounded<T>(a[r] * cuda::load_constant(in[r] + i) + end);
    }
  }
}

// Rows that a warp takes at a time: several where there are enough of them for every warp of the device.
constexpr int kRows = 4;
bool has_many_rows(const Context& ctx, int64_t rows) {
  return rows >= int64_t{cuda::stream_of(ctx).multiprocessors()} * 2 * kWarps * kRows;
}

template <class T>
void forward_cuda(Context& ctx, const Tensor& x, std::span<const Tensor> w, const Tensor& y,
                  const CrossBuffers& buffers) {
  const int64_t rows = x.shape()[0], n = x.shape()[1];
  const Weights weights(w);
  float *beta = buffers.beta.data<float>(), *c = buffers.c.data<float>();
  cuda::launch(ctx, "MultiCross.offsets", {1}, offsets_kernel, weights, n, beta, c);
  if (rows == 0) return;
  const bool many = has_many_rows(ctx, rows);
  cuda::launch(ctx, "MultiCross.forward",
               {cuda::grid_for(cuda::stream_of(ctx), rows, kWarps * (many ? kRows : 1))},
               many ? forward_kernel<T, kRows> : forward_kernel<T, 1>, weights, x.matrix<T>(),
               static_cast<const float*>(beta + weights.count * n), static_cast<const float*>(c),
               buffers.p.data<float>(), y.matrix<T>());
}

// d_x = a g + sum of q_l w_l of R rows, where lane l holds each row's q_l.
template <class T, int R>
__device__ void add_rows(const Weights& weights, const float (&a)[R], const float (&q_lane)[R], int count,
                         int64_t row, const Matrix<T>& g, const Matrix<T>& d_x, bool accumulate) {
  const int lane = threadIdx.x % 32;
  const int64_t n = g.columns;
  for (int first = 0; first < weights.count; first += kAtOnce) {
    float q[R][kAtOnce];
#pragma unroll
    for (int k = 0; k < kAtOnce; ++k)
#pragma unroll
      for (int r = 0; r < R; ++r) q[r][k] = __shfl_sync(0xffffffffu, q_lane[r], min(first + k, 31));
#pragma unroll R == 1 ? 4 : 2
    for (int64_t i = lane; i < n; i += 32) {
      float d[R];
#pragma unroll
      for (int r = 0; r < R; ++r)
        d[r] = first == 0 && r < count ? a[r] * cuda::load_constant(g.at(row + r, i)) : 0;
#pragma unroll
      for (int k = 0; k < kAtOnce; ++k) {
        const float w = cuda::load_constant(weights.w[min(first + k, weights.count - 1)] + i);
#pragma unroll
        for (int r = 0; r < R; ++r) d[r] += q[r][k] * w;
      }
#pragma unroll
      for (int r = 0; r < R; ++r)
        if (r < count) cuda::store(*d_x.at(row + r, i), d[r], accumulate || first > 0);
    }
  }
}

// A warp takes R rows at a time: d_x, and q_l in the place of p_l. Each block leaves its rows' sums of t_l in
// t_parts.
template <class T, int R>
__global__ void backward_kernel(Weights weights, Matrix<T> x, Matrix<T> d_y, const float* c, float* p,
                                Matrix<T> d_x, bool accumulate, float* t_parts) {
  const int64_t rows = x.rows, n = x.columns;
  __shared__ float t_sums[kWarps][kMaxLayers];
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, layers = weights.count;
  float t_sum = 0;  // of layer `lane`
  for (int64_t row = (int64_t{blockIdx.x} * kWarps + warp) * R; row < rows;
       row += int64_t{gridDim.x} * kWarps * R) {
    const int count = static_cast<int>(min(int64_t{R}, rows - row));
    float t[R] = {}, a[R], q_lane[R] = {};  // q of layer `lane`
#pragma unroll 4
    for (int64_t i = lane; i < n; i += 32)
#pragma unroll
      for (int r = 0; r < R; ++r)
        if (r < count)
          t[r] += cuda::load_constant(d_y.at(row + r, i)) * cuda::load_constant(x.at(row + r, i));
#pragma unroll
    for (int r = 0; r < R; ++r) {
      t[r] = cuda::warp_sum(t[r]);
      a[r] = 1;
      float a_lane = 0;  // of layer `lane`
      const float p_lane = lane < layers && r < count ? p[(row + r) * layers + lane] : 0;
      for (int l = 0; l < layers; ++l) {
        if (lane == l) a_lane = a[r];
        a[r] += a[r] * __shfl_sync(0xffffffffu, p_lane, l) + c[l];
      }
      for (int l = layers - 1; l >= 0; --l) {
        if (lane == l) t_sum += t[r], q_lane[r] = t[r] * a_lane;
        t[r] += t[r] * __shfl_sync(0xffffffffu, p_lane, l);
      }
      __syncwarp();
      if (lane < layers && r < count) p[(row + r) * layers + lane] = q_lane[r];
    }
    if (d_x.data) add_rows<T, R>(weights, a, q_lane, count, row, d_y, d_x, accumulate);
  }
  t_sums[warp][lane] = t_sum;
  __syncthreads();
  if (warp == 0 && lane < layers) {
    float sum = 0;
    for (int k = 0; k < kWarps; ++k) sum += t_sums[k][lane];
    t_parts[blockIdx.x * layers + lane] = sum;
  }
}

// d_w_l += beta_l t_l and d_b_l = G_{l+1}, where d_b_0 holds the sum of g; a thread a column.
__global__ void combine_kernel(Weights weights, Weights gradients, int64_t n, const float* beta,
                               const float* t_parts, int parts) {
  __shared__ float t[kMaxLayers];
  const int layers = weights.count;
  for (int l = threadIdx.x / 32; l < layers; l += kWarps) {
    float sum = 0;
    for (int part = threadIdx.x % 32; part < parts; part += 32) sum += t_parts[part * layers + l];
    sum = cuda::warp_sum(sum);
    if (threadIdx.x % 32 == 0) t[l] = sum;
  }
  __syncthreads();
  const int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (i >= n) return;
  float g = gradients.b[0][i];
  for (int l = layers - 1; l >= 0; --l) {
    gradients.b[l][i] = g;
    g += weights.w[l][i] * t[l];
    gradients.w[l][i] += beta[l * n + i] * t[l];
  }
}

// The first pass also sums g into d_b_0.
constexpr int kLayersAtOnce = 7;
template <class T>
void sum_gradients(Context& ctx, const Weights& gradients, Matrix<T> x, Matrix<T> d_y, const float* q,
                   int first) {
  const int layers = gradients.count, count = std::min(kLayersAtOnce, layers - first);
  cuda::sum_columns<kLayersAtOnce + 1, float>(
      ctx, "MultiCross.backward", x.rows, x.columns,
      [=] __device__(int64_t r, int64_t i, float* sums) {
        const float in = cuda::load(*x.at(r, i));
        for (int k = 0; k < kLayersAtOnce; ++k)
          if (k < count) sums[k] += q[r * layers + first + k] * in;
        if (first == 0) sums[kLayersAtOnce] += cuda::load(*d_y.at(r, i));
      },
      [=] __device__(int64_t i, const float* sums) {
        for (int k = 0; k < kLayersAtOnce; ++k)
          if (k < count) gradients.w[first + k][i] = sums[k];
        if (first == 0) gradients.b[0][i] = sums[kLayersAtOnce];
      });
}

template <class T>
void backward_cuda(Context& ctx, const Tensor& x, std::span<const Tensor> w, const Tensor& d_y,
                   const CrossBuffers& buffers, const Tensor& d_x, bool accumulate,
                   std::span<const Tensor> d_w) {
  const int64_t rows = x.shape()[0], n = x.shape()[1];
  const Weights weights(w), gradients(d_w);
  const auto in = x.matrix<T>(), g = d_y.matrix<T>();
  float *p = buffers.p.data<float>(), *t_parts = buffers.partial.data<float>();
  // The partial sums of t must fit the scratch that the layer asked for, and are read again by every block.
  const bool many = has_many_rows(ctx, rows);
  const cuda::Stream& stream = cuda::stream_of(ctx);
  const auto blocks = static_cast<unsigned>(
      std::min<int64_t>({cuda::grid_for(stream, rows, kWarps * (many ? kRows : 1)),
                         int64_t{stream.multiprocessors()} * 4, buffers.partial.numel() / weights.count}));
  cuda::launch(ctx, "MultiCross.backward", {blocks}, many ? backward_kernel<T, kRows> : backward_kernel<T, 1>,
               weights, in, g, static_cast<const float*>(buffers.c.data<float>()), p,
               d_x ? d_x.matrix<T>() : Matrix<T>{}, accumulate, t_parts);
  for (int first = 0; first < weights.count; first += kLayersAtOnce)
    sum_gradients<T>(ctx, gradients, in, g, p, first);
  cuda::launch(ctx, "MultiCross.combine", {static_cast<unsigned>(cuda::divide_up(n, cuda::kBlock))},
               combine_kernel, weights, gradients, n, static_cast<const float*>(buffers.beta.data<float>()),
               static_cast<const float*>(t_parts), static_cast<int>(blocks));
}

}  // namespace

void register_multi_cross_cuda() {
  cuda::for_storage_types([]<class T>(T) {
    multi_cross_forward.set(Backend::cuda, dtype_of<T>, forward_cuda<T>);
    multi_cross_backward.set(Backend::cuda, dtype_of<T>, backward_cuda<T>);
  });
}

}  // namespace ctr
