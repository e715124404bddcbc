// SPDX-License-Identifier: Apache-2.0
#include "kernels/gemm.h"
#include "layers/layer.h"

namespace ctr {
namespace {

class MatrixMultiply final : public Layer {
 public:
  LayerShapes infer(const InferContext& inputs) const override {
    const Shape &a = inputs[0], &b = inputs[1];
    const bool broad = a.rank() == 2 && b.rank() == 3;
    Shape y = broad ? b : a;
    bool fits = a.rank() >= 2 && (a.rank() == b.rank() || broad) && a.last() == b[broad ? 0 : -2];
    for (int i = 0; fits && i < a.rank() - 2; ++i) fits = a[i] == b[i];
    require(fits,
            "its inputs must be [m, n] and [n, k], with equal dimensions before them or none, or [m, n] and "
            "[n, p, q]; got {} and {}",
            to_string(a), to_string(b));
    if (broad)
      y.set(0, a[0]);
    else
      y.set(-1, b.last());
    const Strided strided = broad ? Strided::no : Strided::rows;
    return {.outputs = {y},
            .strided_inputs = strided,
            .strided_outputs = strided,
            .flops = 2.0 * static_cast<double>(y.numel()) * static_cast<double>(a.last())};
  }
  void forward(Context& ctx, const LayerRun& run) const override {
    const Flat f(run);
    multiply(ctx, run.x[0], f(run.x[1]), f(run.y[0]), {});
  }
  void backward(Context& ctx, const LayerRun& run) const override {
    const Flat f(run);
    const Tensor &a = run.x[0], b = f(run.x[1]), g = f(run.d_y[0]);
    if (run.wants(0))
      multiply(ctx, g, b, run.d_x[0], {.transpose_b = true, .accumulate = run.accumulates(0)});
    if (run.wants(1))
      multiply(ctx, a, g, f(run.d_x[1]), {.transpose_a = true, .accumulate = run.accumulates(1)});
  }

 private:
  // [n, p, q] as [n, p q], beside a matrix.
  struct Flat {
    explicit Flat(const LayerRun& run) : is_broad(run.x[0].shape().rank() < run.x[1].shape().rank()) {}
    Tensor operator()(const Tensor& t) const {
      const Shape& s = t.shape();
      return is_broad ? Tensor(t.dtype(), {s[0], s[1] * s[2]}, t.raw()) : t;
    }
    bool is_broad;
  };

  static void multiply(Context& ctx, const Tensor& a, const Tensor& b, const Tensor& c,
                       const BatchedGemmOptions& o) {
    if (a.shape().rank() > 2) return batched_gemm(ctx, a, b, c, o);
    gemm(ctx, a, b, c,
         {.transpose_a = o.transpose_a, .transpose_b = o.transpose_b, .accumulate = o.accumulate});
  }
};

}  // namespace

LayerDef matrix_multiply_layer() {
  return {.name = "MatrixMultiply",
          .aliases = {"MatrixMutiply"},
          .doc = "the product of two matrices, or of each two of [batch, m, n] and [batch, n, k]",
          .min_inputs = 2,
          .max_inputs = 2,
          .create = make_layer<MatrixMultiply>};
}

}  // namespace ctr
