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
  for (int64_t i = threadIdx.x; i < n; i += cuda::kBlock) beta[i] = 0;
  for (int l = 0; l < weights.count; ++l) {
    float sum = 0;
    for (int64_t i = threadIdx.x; i < n; i += cuda::kBlock) {
      const float offset = beta[l * n + i];
      sum += offset * weights.w[l][i];
      beta[(l + 1) * n + i] = offset + weights.b[l][i];
    }
    sum = cuda::block_sum(sum);
    if (threadIdx.x == 0) c[l] = sum;
  }
}

// A warp a row.
template <class T>
__global__ void forward_kernel(Weights weights, int64_t rows, int64_t n, const T* x, const float* offset,
                               const float* c, float* p, T* y) {
  const int lane = threadIdx.x % 32;
  for (int64_t r = int64_t{blockIdx.x} * kWarps + threadIdx.x / 32; r < rows;
       r += int64_t{gridDim.x} * kWarps) {
    const T* in = x + r * n;
    float a = 1;
    for (int first = 0; first < weights.count; first += kAtOnce) {
      float dots[kAtOnce] = {};
      for (int64_t i = lane; i < n; i += 32) {
        const float v = cuda::load(in[i]);
#pragma unroll
        for (int k = 0; k < kAtOnce; ++k) dots[k] += v * weights.w[min(first + k, weights.count - 1)][i];
      }
#pragma unroll
      for (int k = 0; k < kAtOnce; ++k) {
        const float dot = cuda::warp_sum(dots[k]);
        if (first + k >= weights.count) continue;
        if (lane == 0) p[r * weights.count + first + k] = dot;
        a += a * dot + c[first + k];
      }
    }
    for (int64_t i = lane; i < n; i += 32) y[r * n + i] = cuda::rounded<T>(a * cuda::load(in[i]) + offset[i]);
  }
}

template <class T>
void forward_cuda(Context& ctx, const Tensor& x, std::span<const Tensor> w, const Tensor& y,
                  const CrossBuffers& buffers) {
  const int64_t rows = x.shape()[0], n = x.shape()[1];
  const Weights weights(w);
  float *beta = buffers.beta.data<float>(), *c = buffers.c.data<float>();
  cuda::launch(ctx, "MultiCross.offsets", {1}, offsets_kernel, weights, n, beta, c);
  if (rows == 0) return;
  cuda::launch(ctx, "MultiCross.forward", {cuda::grid_for(cuda::stream_of(ctx), rows, kWarps)},
               forward_kernel<T>, weights, rows, n, static_cast<const T*>(x.data<T>()),
               static_cast<const float*>(beta + weights.count * n), static_cast<const float*>(c),
               buffers.p.data<float>(), y.data<T>());
}

// d_x = a g + sum of q_l w_l, where lane l holds q_l.
template <class T>
__device__ void add_rows(const Weights& weights, float a, float q_lane, int64_t n, const T* g, T* d_x,
                         bool accumulate) {
  const int lane = threadIdx.x % 32;
  for (int first = 0; first < weights.count; first += kAtOnce) {
    float q[kAtOnce];
    const float* w[kAtOnce];
#pragma unroll
    for (int k = 0; k < kAtOnce; ++k) {
      const int l = min(first + k, weights.count - 1);
      q[k] = __shfl_sync(0xffffffffu, first + k < weights.count ? q_lane : 0.0f, l);
      w[k] = weights.w[l];
    }
#pragma unroll 2
    for (int64_t i = lane; i < n; i += 32) {
      float d = first == 0 ? a * cuda::load_constant(g + i) : 0;
#pragma unroll
      for (int k = 0; k < kAtOnce; ++k)
        if (first + k < weights.count) d += q[k] * cuda::load_constant(w[k] + i);
      cuda::store(d_x[i], d, accumulate || first > 0);
    }
  }
}

// A warp a row: d_x, and q_l in the place of p_l. Each block leaves its rows' sums of t_l in t_parts.
template <class T>
__global__ void backward_kernel(Weights weights, int64_t rows, int64_t n, const T* x, const T* d_y,
                                const float* c, float* p, T* d_x, bool accumulate, float* t_parts) {
  __shared__ float t_sums[kWarps][kMaxLayers];
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, layers = weights.count;
  float t_sum = 0;  // of layer `lane`
  for (int64_t r = int64_t{blockIdx.x} * kWarps + warp; r < rows; r += int64_t{gridDim.x} * kWarps) {
    const T *in = x + r * n, *g = d_y + r * n;
    float t = 0;
    for (int64_t i = lane; i < n; i += 32) t += cuda::load(g[i]) * cuda::load(in[i]);
    t = cuda::warp_sum(t);
    float a = 1, a_lane = 0, q_lane = 0;  // of layer `lane`
    const float p_lane = lane < layers ? p[r * layers + lane] : 0;
    for (int l = 0; l < layers; ++l) {
      if (lane == l) a_lane = a;
      a += a * __shfl_sync(0xffffffffu, p_lane, l) + c[l];
    }
    for (int l = layers - 1; l >= 0; --l) {
      if (lane == l) t_sum += t, q_lane = t * a_lane;
      t += t * __shfl_sync(0xffffffffu, p_lane, l);
    }
    __syncwarp();
    if (lane < layers) p[r * layers + lane] = q_lane;
    if (!d_x) continue;
    add_rows(weights, a, q_lane, n, g, d_x + r * n, accumulate);
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
void sum_gradients(Context& ctx, const Weights& gradients, int64_t rows, int64_t n, const T* x, const T* d_y,
                   const float* q, int first) {
  const int layers = gradients.count, count = std::min(kLayersAtOnce, layers - first);
  cuda::sum_columns<kLayersAtOnce + 1, float>(
      ctx, "MultiCross.backward", rows, n,
      [=] __device__(int64_t r, int64_t i, float* sums) {
        const float in = cuda::load(x[r * n + i]);
        for (int k = 0; k < kLayersAtOnce; ++k)
          if (k < count) sums[k] += q[r * layers + first + k] * in;
        if (first == 0) sums[kLayersAtOnce] += cuda::load(d_y[r * n + i]);
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
  const T *in = x.data<T>(), *g = d_y.data<T>();
  float *p = buffers.p.data<float>(), *t_parts = buffers.partial.data<float>();
  // The partial sums of t must fit the scratch that the layer asked for.
  const unsigned blocks = std::min<unsigned>(cuda::grid_for(cuda::stream_of(ctx), rows, kWarps),
                                             static_cast<unsigned>(buffers.partial.numel() / weights.count));
  cuda::launch(ctx, "MultiCross.backward", {blocks}, backward_kernel<T>, weights, rows, n, in, g,
               static_cast<const float*>(buffers.c.data<float>()), p, d_x ? d_x.data<T>() : nullptr,
               accumulate, t_parts);
  for (int first = 0; first < weights.count; first += kLayersAtOnce)
    sum_gradients<T>(ctx, gradients, rows, n, in, g, p, first);
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
