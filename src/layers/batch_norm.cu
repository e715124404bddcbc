// SPDX-License-Identifier: Apache-2.0
#include "layers/batch_norm.h"

#include "kernels/elementwise.cuh"
#include "kernels/reduce.cuh"

namespace ctr {
namespace {

template <class T>
void training_cuda(Context& ctx, const Tensor& x, const Tensor& y, const BatchNormBuffers& b, float eps,
                   float factor) {
  const int64_t rows = x.shape()[0], n = x.shape()[1];
  const auto in = x.matrix<T>(), out = y.matrix<T>();
  const float *gamma = b.gamma.data<float>(), *beta = b.beta.data<float>();
  float *mean = b.mean.data<float>(), *inv_std = b.inv_std.data<float>();
  float *running_mean = b.running_mean.data<float>(), *running_var = b.running_var.data<float>();
  const StepState* step = ctx.step;
  cuda::sum_columns<2, double>(
      ctx, "BatchNorm.training", rows, n,
      [=] __device__(int64_t r, int64_t c, double* sums) {
        if (!ValidRows::of(*step, rows).has(r)) return;
        const double v = cuda::load(*in.at(r, c));
        sums[0] += v;
        sums[1] += v * v;
      },
      [=] __device__(int64_t c, const double* sums) {
        const int64_t valid = ValidRows::of(*step, rows).count();
        if (valid == 0) {
          mean[c] = inv_std[c] = 0;
          return;
        }
        const double average = sums[0] / valid, squares = fmax(sums[1] - sums[0] * average, 0.0);
        mean[c] = static_cast<float>(average);
        inv_std[c] = static_cast<float>(1.0 / sqrt(squares / valid + eps));
        running_mean[c] = (1 - factor) * running_mean[c] + factor * mean[c];
        running_var[c] = (1 - factor) * running_var[c] +
                         factor * static_cast<float>(squares / (valid > 1 ? valid - 1 : 1));
      });
  cuda::for_each_in_rows(ctx, "BatchNorm.training", rows, n, [=] __device__(int64_t r, int64_t c) {
    if (!ValidRows::of(*step, rows).has(r)) return cuda::store(*out.at(r, c), 0.0f, false);
    *out.at(r, c) = cuda::rounded<T>(gamma[c] * (cuda::load(*in.at(r, c)) - mean[c]) * inv_std[c] + beta[c]);
  });
}

template <class T>
void evaluation_cuda(Context& ctx, const Tensor& x, const Tensor& y, const BatchNormBuffers& b, float eps) {
  const auto in = x.matrix<T>(), out = y.matrix<T>();
  const float *gamma = b.gamma.data<float>(), *beta = b.beta.data<float>();
  const float *mean = b.running_mean.data<float>(), *var = b.running_var.data<float>();
  cuda::for_each_in_rows(
      ctx, "BatchNorm.evaluation", in.rows, in.columns, [=] __device__(int64_t r, int64_t c) {
        const float scale = gamma[c] / sqrtf(var[c] + eps);
        *out.at(r, c) = cuda::rounded<T>(scale * (cuda::load(*in.at(r, c)) - mean[c]) + beta[c]);
      });
}

template <class T>
void backward_cuda(Context& ctx, const Tensor& x, const Tensor& d_y, const BatchNormBuffers& b,
                   const Tensor& d_x, bool accumulate, const Tensor& d_gamma, const Tensor& d_beta) {
  const int64_t rows = x.shape()[0], n = x.shape()[1];
  const auto in = x.matrix<T>(), g = d_y.matrix<T>();
  const float *gamma = b.gamma.data<float>(), *mean = b.mean.data<float>(),
              *inv_std = b.inv_std.data<float>();
  float *sum_gx = d_gamma.data<float>(), *sum_g = d_beta.data<float>();
  const StepState* step = ctx.step;
  cuda::sum_columns<2, double>(
      ctx, "BatchNorm.backward", rows, n,
      [=] __device__(int64_t r, int64_t c, double* sums) {
        if (!ValidRows::of(*step, rows).has(r)) return;
        const float d = cuda::load(*g.at(r, c));
        sums[0] += d;
        sums[1] += d * (cuda::load(*in.at(r, c)) - mean[c]) * inv_std[c];
      },
      [=] __device__(int64_t c, const double* sums) {
        sum_g[c] = static_cast<float>(sums[0]);
        sum_gx[c] = static_cast<float>(sums[1]);
      });
  if (!d_x) return;
  const auto out = d_x.matrix<T>();
  cuda::for_each_in_rows(ctx, "BatchNorm.backward", rows, n, [=] __device__(int64_t r, int64_t c) {
    const ValidRows valid = ValidRows::of(*step, rows);
    if (!valid.has(r)) return cuda::store(*out.at(r, c), 0.0f, accumulate);
    const float each = static_cast<float>(valid.batch) / static_cast<float>(valid.rows * valid.total);
    const float x_hat = (cuda::load(*in.at(r, c)) - mean[c]) * inv_std[c];
    const float centred = cuda::load(*g.at(r, c)) - sum_g[c] * each - x_hat * (sum_gx[c] * each);
    cuda::store(*out.at(r, c), gamma[c] * inv_std[c] * centred, accumulate);
  });
}

}  // namespace

void register_batch_norm_cuda() {
  cuda::for_storage_types([]<class T>(T) {
    batch_norm_training.set(Backend::cuda, dtype_of<T>, training_cuda<T>);
    batch_norm_evaluation.set(Backend::cuda, dtype_of<T>, evaluation_cuda<T>);
    batch_norm_backward.set(Backend::cuda, dtype_of<T>, backward_cuda<T>);
  });
}

}  // namespace ctr
