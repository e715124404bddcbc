// SPDX-License-Identifier: Apache-2.0
#include "layers/prelu_dice.h"

#include <algorithm>
#include <cmath>

#include "base/parallel.h"
#include "base/vectorize.h"
#include "layers/layer.h"

namespace ctr {
namespace {

class PReluDice final : public Layer {
 public:
  explicit PReluDice(const Params& p) : math_{p.real("elu_alpha")}, eps_(p.real("eps")) {
    require(eps_ >= 0, "eps must not be negative, got {}", eps_);
  }

  LayerShapes infer(const InferContext& inputs) const override {
    const Shape& x = inputs[0];
    require(x.rank() == 2, "its input must be [batch, width], got {}", to_string(x));
    return {.outputs = {x},
            .saved = {{DType::f32, {x[1]}}, {DType::f32, {x[1]}}},
            .strided_inputs = Strided::rows,
            .strided_outputs = Strided::rows};
  }
  void forward(Context& ctx, const LayerRun& run) const override {
    prelu_dice_forward(ctx, run.x[0], run.y[0], {run.saved[0], run.saved[1]}, math_, eps_);
  }
  void backward(Context& ctx, const LayerRun& run) const override {
    if (run.wants(0))
      prelu_dice_backward(ctx, run.x[0], run.d_y[0], {run.saved[0], run.saved[1]}, run.d_x[0], math_,
                          run.accumulates(0));
  }

 private:
  DiceMath math_;
  float eps_;
};

constexpr int64_t kTile = 64;

// Of up to kTile columns.
template <class T>
CTR_VECTORIZE void column_statistics(Matrix<T> x, int64_t first, int64_t columns, int64_t valid, float eps,
                                     float* mean, float* inv_std) {
  double sum[kTile] = {}, squares[kTile] = {};
  const double count = static_cast<double>(std::max<int64_t>(valid, 1));
  for (int64_t r = 0; r < valid; ++r)
    for (int64_t j = 0; j < columns; ++j) sum[j] += static_cast<double>(to_float(*x.at(r, first + j)));
  for (int64_t j = 0; j < columns; ++j) sum[j] /= count;
  for (int64_t r = 0; r < valid; ++r)
    for (int64_t j = 0; j < columns; ++j) {
      const double d = static_cast<double>(to_float(*x.at(r, first + j))) - sum[j];
      squares[j] += d * d;
    }
  for (int64_t j = 0; j < columns; ++j) {
    mean[first + j] = static_cast<float>(sum[j]);
    inv_std[first + j] = static_cast<float>(1.0 / std::sqrt(squares[j] / count + static_cast<double>(eps)));
  }
}

int64_t grain_of(int64_t columns) { return std::max<int64_t>(1, kElementGrain / 4 / columns); }

template <class T>
CTR_VECTORIZE void forward_rows(Matrix<T> x, Matrix<T> y, Range rows, const float* mean, const float* inv_std,
                                DiceMath math) {
  for (int64_t r = rows.begin; r < rows.end; ++r) {
    const T* __restrict in = x.at(r);
    T* __restrict out = y.at(r);
    for (int64_t j = 0; j < x.columns; ++j)
      store<false>(out[j], math.forward(to_float(in[j]), mean[j], inv_std[j]));
  }
}

template <bool kAccumulate, class T>
CTR_VECTORIZE void backward_rows(Matrix<T> x, Matrix<T> d_y, Matrix<T> d_x, Range rows, float valid,
                                 const float* mean, const float* inv_std, DiceMath math) {
  for (int64_t r = rows.begin; r < rows.end; ++r) {
    const T* __restrict in = x.at(r), * __restrict g = d_y.at(r);
    T* __restrict out = d_x.at(r);
    for (int64_t j = 0; j < x.columns; ++j)
      store<kAccumulate>(out[j], to_float(g[j]) * math.slope(to_float(in[j]), mean[j], inv_std[j], valid));
  }
}

template <class T>
void forward_cpu(Context& ctx, const Tensor& x, const Tensor& y, const DiceBuffers& b, DiceMath math,
                 float eps) {
  const auto in = x.matrix<T>(), out = y.matrix<T>();
  const int64_t n = in.columns, valid = ValidRows::of(*ctx.step, in.rows).count();
  float *mean = b.mean.data<float>(), *inv_std = b.inv_std.data<float>();
  parallel_for(ctx.threads, (n + kTile - 1) / kTile, 1, [=](int64_t begin, int64_t end) {
    for (int64_t first = begin * kTile; first < std::min(n, end * kTile); first += kTile)
      column_statistics(in, first, std::min(kTile, n - first), valid, eps, mean, inv_std);
  });
  parallel_for(ctx.threads, in.rows, grain_of(n), [=](int64_t begin, int64_t end) {
    forward_rows(in, out, {begin, std::min(end, valid)}, mean, inv_std, math);
    for (int64_t r = std::max(begin, valid); r < end; ++r) std::fill_n(out.at(r), n, T{});
  });
}

template <class T>
void backward_cpu(Context& ctx, const Tensor& x, const Tensor& d_y, const DiceBuffers& b, const Tensor& d_x,
                  DiceMath math, bool accumulate) {
  const auto in = x.matrix<T>(), g = d_y.matrix<T>(), out = d_x.matrix<T>();
  const int64_t n = in.columns, valid = ValidRows::of(*ctx.step, in.rows).count();
  const float *mean = b.mean.data<float>(), *inv_std = b.inv_std.data<float>();
  with_accumulate(accumulate, [&](auto add) {
    parallel_for(ctx.threads, in.rows, grain_of(n), [=](int64_t begin, int64_t end) {
      backward_rows<add()>(in, g, out, {begin, std::min(end, valid)}, static_cast<float>(valid), mean,
                           inv_std, math);
      if (add()) return;
      for (int64_t r = std::max(begin, valid); r < end; ++r) std::fill_n(out.at(r), n, T{});
    });
  });
}

}  // namespace

constinit decltype(prelu_dice_forward) prelu_dice_forward{
    "PReLU_Dice.forward", {DType::f32, forward_cpu<float>}, {DType::bf16, forward_cpu<bf16>}};
constinit decltype(prelu_dice_backward) prelu_dice_backward{
    "PReLU_Dice.backward", {DType::f32, backward_cpu<float>}, {DType::bf16, backward_cpu<bf16>}};

LayerDef prelu_dice_layer() {
  return {.name = "PReLU_Dice",
          .doc = "y = p x + (1 - p) alpha x, p being the sigmoid of x normalised by its column in this batch",
          .params = {{.keyword = "elu_alpha",
                      .json_path = "prelu_dice_param.alpha",
                      .initial = 1.0,
                      .doc = "slope where p is 0; 1 makes the layer do nothing",
                      .json_aliases = {"prelu_dice_param.elu_alpha"}},
                     {"eps", "prelu_dice_param.eps", 1e-5, JsonRule::always, "added to the variance"}},
          .create = make_layer<PReluDice>};
}

}  // namespace ctr
