// SPDX-License-Identifier: Apache-2.0
#include "layers/layer_norm.h"

#include "kernels/elementwise.cuh"
#include "kernels/reduce.cuh"

namespace ctr {
namespace {

// Rows longer than this take a block each, others a warp.
constexpr int64_t kWarpWidth = 2048;

template <int kTeam>
__device__ float team_sum(float value) {
  if constexpr (kTeam == 32)
    return cuda::warp_sum(value);
  else
    return cuda::block_sum(value);
}

// row(row, lane) for every row, each on a team of threads.
template <int kTeam, class F>
__global__ void rows_kernel(int64_t rows, F row) {
  constexpr int kTeams = cuda::kBlock / kTeam;
  for (int64_t r = int64_t{blockIdx.x} * kTeams + threadIdx.x / kTeam; r < rows;
       r += int64_t{gridDim.x} * kTeams)
    row.template operator()<kTeam>(r, static_cast<int>(threadIdx.x % kTeam));
}

template <class F>
void for_rows(const Context& ctx, std::string_view name, int64_t rows, int64_t n, F row) {
  if (rows == 0) return;
  const cuda::Stream& stream = cuda::stream_of(ctx);
  if (n <= kWarpWidth)
    cuda::launch(ctx, name, {cuda::grid_for(stream, rows, cuda::kBlock / 32)}, rows_kernel<32, F>, rows, row);
  else
    cuda::launch(ctx, name, {cuda::grid_for(stream, rows, 1)}, rows_kernel<cuda::kBlock, F>, rows, row);
}

template <class T>
struct Forward {
  int64_t n;
  float eps;
  const T* x;
  const float *gamma, *beta;
  T* y;
  float *mean, *inv_std;

  template <int kTeam>
  __device__ void operator()(int64_t row, int lane) const {
    const T* in = x + row * n;
    float sum = 0, squares = 0;
#pragma unroll 4
    for (int64_t i = lane; i < n; i += kTeam) sum += cuda::load_constant(in + i);
    const float m = team_sum<kTeam>(sum) / static_cast<float>(n);
#pragma unroll 4
    for (int64_t i = lane; i < n; i += kTeam) {
      const float d = cuda::load_constant(in + i) - m;
      squares += d * d;
    }
    const float s = 1.0f / sqrtf(team_sum<kTeam>(squares) / static_cast<float>(n) + eps);
#pragma unroll 4
    for (int64_t i = lane; i < n; i += kTeam)
      y[row * n + i] =
          cuda::rounded<T>(cuda::load_constant(gamma + i) * ((cuda::load_constant(in + i) - m) * s) +
                           cuda::load_constant(beta + i));
    if (lane == 0) mean[row] = m, inv_std[row] = s;
  }
};

template <class T>
struct Backward {
  int64_t n;
  const T *x, *d_y;
  const float *gamma, *mean, *inv_std;
  T* d_x;
  bool accumulate;

  template <int kTeam>
  __device__ void operator()(int64_t row, int lane) const {
    const T *in = x + row * n, *g = d_y + row * n;
    const float m = mean[row], s = inv_std[row];
    float sum_g = 0, sum_gx = 0;
#pragma unroll 4
    for (int64_t i = lane; i < n; i += kTeam) {
      const float d = cuda::load_constant(gamma + i) * cuda::load_constant(g + i);
      sum_g += d;
      sum_gx += d * ((cuda::load_constant(in + i) - m) * s);
    }
    const float mean_g = team_sum<kTeam>(sum_g) / static_cast<float>(n),
                mean_gx = team_sum<kTeam>(sum_gx) / static_cast<float>(n);
#pragma unroll 4
    for (int64_t i = lane; i < n; i += kTeam) {
      const float x_hat = (cuda::load_constant(in + i) - m) * s;
      const float d = cuda::load_constant(gamma + i) * cuda::load_constant(g + i);
      cuda::store(d_x[row * n + i], s * (d - mean_g - x_hat * mean_gx), accumulate);
    }
  }
};

template <class T>
void forward_cuda(Context& ctx, const Tensor& x, const Tensor& y, const LayerNormBuffers& b, float eps) {
  const int64_t n = x.shape().last();
  for_rows(ctx, "LayerNorm.forward", x.shape().rows(), n,
           Forward<T>{n, eps, x.data<T>(), b.gamma.data<float>(), b.beta.data<float>(), y.data<T>(),
                      b.mean.data<float>(), b.inv_std.data<float>()});
}

template <class T>
void backward_cuda(Context& ctx, const Tensor& x, const Tensor& d_y, const LayerNormBuffers& b,
                   const Tensor& d_x, bool accumulate, const Tensor& d_gamma, const Tensor& d_beta) {
  const int64_t rows = x.shape().rows(), n = x.shape().last();
  const T *in = x.data<T>(), *g = d_y.data<T>();
  const float *mean = b.mean.data<float>(), *inv_std = b.inv_std.data<float>();
  float *sum_gx = d_gamma.data<float>(), *sum_g = d_beta.data<float>();
  cuda::sum_columns<2, float>(
      ctx, "LayerNorm.backward_weights", rows, n,
      [=] __device__(int64_t r, int64_t c, float* sums) {
        const float d = cuda::load(g[r * n + c]);
        sums[0] += d;
        sums[1] += d * ((cuda::load(in[r * n + c]) - mean[r]) * inv_std[r]);
      },
      [=] __device__(int64_t c, const float* sums) {
        sum_g[c] = sums[0];
        sum_gx[c] = sums[1];
      });
  if (d_x)
    for_rows(ctx, "LayerNorm.backward", rows, n,
             Backward<T>{n, in, g, b.gamma.data<float>(), mean, inv_std, d_x.data<T>(), accumulate});
}

}  // namespace

void register_layer_norm_cuda() {
  cuda::for_storage_types([]<class T>(T) {
    layer_norm_forward.set(Backend::cuda, dtype_of<T>, forward_cuda<T>);
    layer_norm_backward.set(Backend::cuda, dtype_of<T>, backward_cuda<T>);
  });
}

}  // namespace ctr
