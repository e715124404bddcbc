// SPDX-License-Identifier: Apache-2.0
#include "layers/multi_cross.h"

#include "kernels/columns.h"
#include "kernels/elementwise.cuh"
#include "kernels/reduce.cuh"

namespace ctr {
namespace {

constexpr int kLanes = kFewCrosses;  // layers that the lanes of a warp take at a time
constexpr int kMostLayers = 1024;    // as many as there may be
constexpr int kWarps = cuda::kBlock / 32;
constexpr int kAtOnce = 8;  // layers that one pass over a row serves

// w_l and b_l, or their gradients: some by their addresses, or rows of a matrix, w_0, b_0, w_1, ...
struct Weights {
  float *few_w[kLanes], *few_b[kLanes];
  Matrix<float> many;
  int count;

  __device__ float* w(int l) const { return count <= kLanes ? few_w[l] : many.at(2 * l); }
  __device__ float* b(int l) const { return count <= kLanes ? few_b[l] : many.at(2 * l + 1); }
};

Weights few(std::span<const Tensor> tensors) {
  Weights weights{{}, {}, {}, static_cast<int>(tensors.size() / 2)};
  for (int l = 0; l < weights.count; ++l) {
    weights.few_w[l] = tensors[static_cast<size_t>(2 * l)].data<float>();
    weights.few_b[l] = tensors[static_cast<size_t>(2 * l + 1)].data<float>();
  }
  return weights;
}

// More weights than a kernel takes addresses are side by side in the layer's memory.
Weights many(std::span<const Tensor> tensors, const Tensor& memory) {
  return {{}, {}, memory.matrix<float>(), static_cast<int>(tensors.size() / 2)};
}

Weights read_weights(Context& ctx, std::span<const Tensor> w, const CrossBuffers& buffers) {
  if (w.size() <= 2 * kLanes) return few(w);
  const int64_t n = w[0].numel();
  for (size_t k = 0; k < w.size(); ++k)
    copy_columns(ctx, w[k], buffers.weights, 1, {0, static_cast<int64_t>(k) * n, n}, false);
  return many(w, buffers.weights);
}

// beta_l = sum of b_j below l; c_l = <beta_l, w_l>. One block.
__global__ void offsets_kernel(Weights weights, int64_t n, float* beta, float* c) {
  for (int first = 0; first < weights.count; first += kLanes) {
    const int layers = min(kLanes, weights.count - first);
    float sums[kLanes];
    for (int l = 0; l < layers; ++l) sums[l] = 0;
    for (int64_t i = threadIdx.x; i < n; i += cuda::kBlock) {
      float offset = first > 0 ? beta[first * n + i] : 0;
#pragma unroll 4
      for (int l = 0; l < layers; ++l) {
        beta[(first + l) * n + i] = offset;
        sums[l] += offset * cuda::load_constant(weights.w(first + l) + i);
        offset += cuda::load_constant(weights.b(first + l) + i);
      }
      beta[(first + layers) * n + i] = offset;
    }
    for (int l = 0; l < layers; ++l) {
      const float sum = cuda::block_sum(sums[l]);
      if (threadIdx.x == 0) c[first + l] = sum;
    }
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
          const float w = cuda::load_constant(weights.w(min(first + k, layers - 1)) + i);
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
  const Weights weights = read_weights(ctx, w, buffers);
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

// d_x = a g + sum of q_l w_l of R rows, where lane l holds each row's q_l, q_{l + 32}, ...
template <class T, int R, int kParts>
__device__ void add_rows(const Weights& weights, const float (&a)[R], const float (&q_lane)[R][kParts],
                         int count, int64_t row, const Matrix<T>& g, const Matrix<T>& d_x, bool accumulate) {
  const int lane = threadIdx.x % 32;
  const int64_t n = g.columns;
  for (int first = 0; first < weights.count; first += kAtOnce) {
    const int part = kParts == 1 ? 0 : first / kLanes;  // a register where there is one part only
    float q[R][kAtOnce];
#pragma unroll
    for (int k = 0; k < kAtOnce; ++k)
#pragma unroll
      for (int r = 0; r < R; ++r) q[r][k] = __shfl_sync(0xffffffffu, q_lane[r][part], (first + k) % kLanes);
#pragma unroll R == 1 ? 4 : 2
    for (int64_t i = lane; i < n; i += 32) {
      float d[R];
#pragma unroll
      for (int r = 0; r < R; ++r)
        d[r] = first == 0 && r < count ? a[r] * cuda::load_constant(g.at(row + r, i)) : 0;
#pragma unroll
      for (int k = 0; k < kAtOnce; ++k) {
        const float w = cuda::load_constant(weights.w(min(first + k, weights.count - 1)) + i);
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
// t_parts. Lanes hold kParts layers each.
template <class T, int R, int kParts>
__global__ void backward_kernel(Weights weights, Matrix<T> x, Matrix<T> d_y, const float* c, float* p,
                                Matrix<T> d_x, bool accumulate, float* t_parts) {
  const int64_t rows = x.rows, n = x.columns;
  __shared__ float t_sums[kWarps][kLanes];
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, layers = weights.count;
  float t_sum[kParts] = {};  // of layer `lane`, `lane` + 32, ...
  for (int64_t row = (int64_t{blockIdx.x} * kWarps + warp) * R; row < rows;
       row += int64_t{gridDim.x} * kWarps * R) {
    const int count = static_cast<int>(min(int64_t{R}, rows - row));
    float t[R] = {}, a[R], q_lane[R][kParts] = {};
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
      float a_lane[kParts] = {}, p_lane[kParts];
#pragma unroll
      for (int part = 0; part < kParts; ++part) {
        const int first = part * kLanes, l = first + lane, here = min(kLanes, layers - first);
        p_lane[part] = l < layers && r < count ? p[(row + r) * layers + l] : 0;
        for (int k = 0; k < here; ++k) {
          if (lane == k) a_lane[part] = a[r];
          a[r] += a[r] * __shfl_sync(0xffffffffu, p_lane[part], k) + c[first + k];
        }
      }
#pragma unroll
      for (int part = kParts - 1; part >= 0; --part) {
        const int first = part * kLanes, l = first + lane;
        for (int k = min(kLanes, layers - first) - 1; k >= 0; --k) {
          if (lane == k) t_sum[part] += t[r], q_lane[r][part] = t[r] * a_lane[part];
          t[r] += t[r] * __shfl_sync(0xffffffffu, p_lane[part], k);
        }
        __syncwarp();
        if (l < layers && r < count) p[(row + r) * layers + l] = q_lane[r][part];
      }
    }
    if (d_x.data) add_rows<T, R, kParts>(weights, a, q_lane, count, row, d_y, d_x, accumulate);
  }
#pragma unroll
  for (int part = 0; part < kParts; ++part) {
    const int l = part * kLanes + lane;
    t_sums[warp][lane] = t_sum[part];
    __syncthreads();
    if (warp == 0 && l < layers) {
      float sum = 0;
      for (int k = 0; k < kWarps; ++k) sum += t_sums[k][lane];
      t_parts[blockIdx.x * layers + l] = sum;
    }
    __syncthreads();
  }
}

// d_w_l += beta_l t_l and d_b_l = G_{l+1}, where d_b_0 holds the sum of g; a thread a column.
__global__ void combine_kernel(Weights weights, Weights gradients, int64_t n, const float* beta,
                               const float* t_parts, int parts) {
  __shared__ float t[kMostLayers];
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
  float g = gradients.b(0)[i];
  for (int l = layers - 1; l >= 0; --l) {
    gradients.b(l)[i] = g;
    g += weights.w(l)[i] * t[l];
    gradients.w(l)[i] += beta[l * n + i] * t[l];
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
          if (k < count) gradients.w(first + k)[i] = sums[k];
        if (first == 0) gradients.b(0)[i] = sums[kLayersAtOnce];
      });
}

template <class T>
void backward_cuda(Context& ctx, const Tensor& x, std::span<const Tensor> w, const Tensor& d_y,
                   const CrossBuffers& buffers, const Tensor& d_x, bool accumulate,
                   std::span<const Tensor> d_w) {
  const int64_t rows = x.shape()[0], n = x.shape()[1];
  const bool is_deep = w.size() > 2 * kLanes;
  const Weights weights = read_weights(ctx, w, buffers),
                gradients = is_deep ? many(d_w, buffers.gradients) : few(d_w);
  const auto in = x.matrix<T>(), g = d_y.matrix<T>();
  float *p = buffers.p.data<float>(), *t_parts = buffers.partial.data<float>();
  // The partial sums of t must fit the scratch that the layer asked for, and are read again by every block.
  const bool at_once = !is_deep && has_many_rows(ctx, rows);
  const cuda::Stream& stream = cuda::stream_of(ctx);
  const auto blocks = static_cast<unsigned>(
      std::min<int64_t>({cuda::grid_for(stream, rows, kWarps * (at_once ? kRows : 1)),
                         int64_t{stream.multiprocessors()} * 4, buffers.partial.numel() / weights.count}));
  const auto kernel = is_deep   ? backward_kernel<T, 1, kMostLayers / kLanes>
                      : at_once ? backward_kernel<T, kRows, 1>
                                : backward_kernel<T, 1, 1>;
  cuda::launch(ctx, "MultiCross.backward", {blocks}, kernel, weights, in, g,
               static_cast<const float*>(buffers.c.data<float>()), p, d_x ? d_x.matrix<T>() : Matrix<T>{},
               accumulate, t_parts);
  for (int first = 0; first < weights.count; first += kLayersAtOnce)
    sum_gradients<T>(ctx, gradients, in, g, p, first);
  cuda::launch(ctx, "MultiCross.combine", {static_cast<unsigned>(cuda::divide_up(n, cuda::kBlock))},
               combine_kernel, weights, gradients, n, static_cast<const float*>(buffers.beta.data<float>()),
               static_cast<const float*>(t_parts), static_cast<int>(blocks));
  for (size_t k = 0; is_deep && k < d_w.size(); ++k)
    copy_columns(ctx, buffers.gradients, d_w[k], 1, {static_cast<int64_t>(k) * n, 0, n}, false);
}

}  // namespace

void register_multi_cross_cuda() {
  cuda::for_storage_types([]<class T>(T) {
    multi_cross_forward.set(Backend::cuda, dtype_of<T>, forward_cuda<T>);
    multi_cross_backward.set(Backend::cuda, dtype_of<T>, backward_cuda<T>);
  });
}

}  // namespace ctr
