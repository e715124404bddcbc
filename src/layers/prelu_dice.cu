// SPDX-License-Identifier: Apache-2.0
#include "layers/prelu_dice.h"

#include "kernels/elementwise.cuh"
#include "kernels/reduce.cuh"

namespace ctr {
namespace {

template <class T>
void forward_cuda(Context& ctx, const Tensor& x, const Tensor& y, const DiceBuffers& b, DiceMath math,
                  float eps) {
  const auto in = x.matrix<T>(), out = y.matrix<T>();
  const int64_t rows = in.rows;
  float *mean = b.mean.data<float>(), *inv_std = b.inv_std.data<float>();
  const StepState* step = ctx.step;
  cuda::sum_columns<2, double>(
      ctx, "PReLU_Dice.statistics", rows, in.columns,
      [=] __device__(int64_t r, int64_t c, double* sums) {
        if (!ValidRows::of(*step, rows).has(r)) return;
        const double v = cuda::load(*in.at(r, c));
        sums[0] += v;
        sums[1] += v * v;
      },
      [=] __device__(int64_t c, const double* sums) {
        const auto valid = static_cast<double>(max(ValidRows::of(*step, rows).count(), int64_t{1}));
        const double average = sums[0] / valid, variance = fmax(sums[1] / valid - average * average, 0.0);
        mean[c] = static_cast<float>(average);
        inv_std[c] = static_cast<float>(1.0 / sqrt(variance + eps));
      });
  cuda::for_each_in_rows(ctx, "PReLU_Dice.forward", rows, in.columns, [=] __device__(int64_t r, int64_t c) {
    const bool valid = ValidRows::of(*step, rows).has(r);
    *out.at(r, c) =
        cuda::rounded<T>(valid ? math.forward(cuda::load(*in.at(r, c)), mean[c], inv_std[c]) : 0.0f);
  });
}

template <class T>
void backward_cuda(Context& ctx, const Tensor& x, const Tensor& d_y, const DiceBuffers& b, const Tensor& d_x,
                   DiceMath math, bool accumulate) {
  const auto in = x.matrix<T>(), g = d_y.matrix<T>(), out = d_x.matrix<T>();
  const int64_t rows = in.rows;
  const float *mean = b.mean.data<float>(), *inv_std = b.inv_std.data<float>();
  const StepState* step = ctx.step;
  cuda::for_each_in_rows(ctx, "PReLU_Dice.backward", rows, in.columns, [=] __device__(int64_t r, int64_t c) {
    const ValidRows valid = ValidRows::of(*step, rows);
    float d = 0;
    if (valid.has(r))
      d = cuda::load(*g.at(r, c)) *
          math.slope(cuda::load(*in.at(r, c)), mean[c], inv_std[c], static_cast<float>(valid.count()));
    cuda::store(*out.at(r, c), d, accumulate);
  });
}

}  // namespace

void register_prelu_dice_cuda() {
  cuda::for_storage_types([]<class T>(T) {
    prelu_dice_forward.set(Backend::cuda, dtype_of<T>, forward_cuda<T>);
    prelu_dice_backward.set(Backend::cuda, dtype_of<T>, backward_cuda<T>);
  });
}

}  // namespace ctr
