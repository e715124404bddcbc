// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "device/memory.h"
#include "kernels/gemm.h"
#include "kernels/softmax.h"
#include "layers/layer.h"

namespace ctr {
namespace {

// Of [batch, queries or keys, width] a head is so many columns: the products of one head are a batch of
// products of matrices whose rows are apart, and nothing is transposed. Logits are [heads, batch, queries,
// keys], in f32.
class MultiHeadAttention final : public Layer {
 public:
  explicit MultiHeadAttention(const Params& p) : heads_(p.integer("num_attention_heads")) {}

  LayerShapes infer(const InferContext& inputs) const override {
    return inputs.size() == 2 ? infer_logits(inputs[0], inputs[1]) : infer_attention(inputs);
  }

  void forward(Context& ctx, const LayerRun& run) const override {
    if (run.x.size() == 2) return batched_gemm(ctx, run.x[0], run.x[1], run.y[0], {.transpose_b = true});
    const Tensor &logits = run.saved[0], &probabilities = run.scratch[0];
    for (int64_t h = 0; h < heads_; ++h)
      batched_gemm(ctx, head(run.x[0], h), head(run.x[1], h), part(logits, h), {.transpose_b = true});
    softmax(ctx, logits, probabilities, options(run));
    for (int64_t h = 0; h < heads_; ++h)
      batched_gemm(ctx, part(probabilities, h), head(run.x[2], h), head(run.y[0], h), {});
  }

  // Gradients are written in the order of the inputs: one tensor may be all of them.
  void backward(Context& ctx, const LayerRun& run) const override {
    if (run.x.size() == 2) return backward_of_logits(ctx, run);
    const Tensor &logits = run.saved[0], &g = run.d_y[0];
    if (run.wants(0) || run.wants(1)) {
      const Tensor &d_logits = run.scratch[0], &d_probabilities = run.scratch[1];
      for (int64_t h = 0; h < heads_; ++h)
        batched_gemm(ctx, head(g, h), head(run.x[2], h), part(d_probabilities, h), {.transpose_b = true});
      softmax_backward(ctx, logits, d_probabilities, d_logits, options(run), false);
      for (int64_t h = 0; run.wants(0) && h < heads_; ++h)
        batched_gemm(ctx, part(d_logits, h), head(run.x[1], h), head(run.d_x[0], h),
                     {.accumulate = run.accumulates(0)});
      for (int64_t h = 0; run.wants(1) && h < heads_; ++h)
        batched_gemm(ctx, part(d_logits, h), head(run.x[0], h), head(run.d_x[1], h),
                     {.transpose_a = true, .accumulate = run.accumulates(1)});
    }
    if (run.wants(2)) {
      const Tensor& probabilities = run.scratch[0];
      softmax(ctx, logits, probabilities, options(run));
      for (int64_t h = 0; h < heads_; ++h)
        batched_gemm(ctx, part(probabilities, h), head(g, h), head(run.d_x[2], h),
                     {.transpose_a = true, .accumulate = run.accumulates(2)});
    }
    if (run.x.size() == 4 && run.wants(3) && !run.accumulates(3))
      fill_zero(ctx, run.d_x[3]);  // a mask has no gradient
  }

 private:
  // Q K^T of tensors that have heads as a dimension already, and no softmax.
  static LayerShapes infer_logits(const Shape& q, const Shape& k) {
    require(q.rank() == 4 && k.rank() == 4 && q[0] == k[0] && q[1] == k[1] && q[3] == k[3],
            "its two inputs must be [heads, batch, queries, width] and [heads, batch, keys, width], got {} "
            "and {}",
            to_string(q), to_string(k));
    return {.outputs = {{q[0], q[1], q[2], k[2]}},
            .strided_inputs = Strided::rows,
            .strided_outputs = Strided::rows,
            .flops = 2.0 * static_cast<double>(q.numel()) * static_cast<double>(k[2])};
  }
  static void backward_of_logits(Context& ctx, const LayerRun& run) {
    const Tensor& g = run.d_y[0];
    if (run.wants(0)) batched_gemm(ctx, g, run.x[1], run.d_x[0], {.accumulate = run.accumulates(0)});
    if (run.wants(1))
      batched_gemm(ctx, g, run.x[0], run.d_x[1], {.transpose_a = true, .accumulate = run.accumulates(1)});
  }

  LayerShapes infer_attention(const InferContext& inputs) const {
    const Shape &q = inputs[0], &k = inputs[1], &v = inputs[2];
    require(
        q.rank() == 3 && k.rank() == 3 && v == k && q[0] == k[0] && q[2] == k[2],
        "query, key and value must be [batch, queries, width], [batch, keys, width] and the same, got {}, "
        "{} and {}",
        to_string(q), to_string(k), to_string(v));
    require(q[2] % heads_ == 0, "num_attention_heads {} does not divide the width of {}", heads_,
            to_string(q));
    if (inputs.size() == 4)
      require(inputs[3] == Shape{q[0], 1, q[1], k[1]}, "its mask must be {}, got {}",
              to_string({q[0], 1, q[1], k[1]}), to_string(inputs[3]));
    const Shape logits{heads_, q[0], q[1], k[1]};
    return {.outputs = {q},
            .saved = {{DType::f32, logits}},
            .scratch = {{DType::f32, logits, true}, {DType::f32, logits}},
            .strided_inputs = Strided::rows,
            .strided_outputs = Strided::rows,
            .flops = 4.0 * static_cast<double>(q.numel()) * static_cast<double>(k[1])};
  }

  // Of [batch, n, width].
  Tensor head(const Tensor& t, int64_t h) const {
    const int64_t width = t.shape().last() / heads_;
    return t.columns(h * width, width);
  }
  // Of [heads, batch, queries, keys].
  static Tensor part(const Tensor& t, int64_t h) {
    const Shape& s = t.shape();
    const Shape one{s[1], s[2], s[3]};
    return {t.dtype(), one,
            static_cast<std::byte*>(t.raw()) + static_cast<size_t>(h * one.numel()) * size_of(t.dtype())};
  }
  SoftmaxOptions options(const LayerRun& run) const {
    const auto width = static_cast<double>(run.x[0].shape().last() / heads_);
    SoftmaxOptions o{.scale = static_cast<float>(1.0 / std::sqrt(width))};
    if (run.x.size() == 4) o.mask = run.x[3], o.inner = run.x[3].shape().rows();
    return o;
  }

  int64_t heads_;
};

}  // namespace

LayerDef multi_head_attention_layer() {
  return {
      .name = "MultiHeadAttention",
      .doc =
          "softmax(Q K^T / sqrt(width of a head)) V for each head, side by side, of query [batch, queries, "
          "width], key and value [batch, keys, width] and, where there is one, a mask [batch, 1, queries, "
          "keys] as Softmax takes it; of two tensors [heads, batch, …, width] Q K^T alone",
      .min_inputs = 2,
      .max_inputs = 4,
      .params = {{.keyword = "num_attention_heads",
                  .json_path = "num_attention_heads",
                  .initial = int64_t{1},
                  .rule = JsonRule::optional,
                  .doc = "heads, which divide the width",
                  .min = 1,
                  .max = kMaxExtent}},
      .create = make_layer<MultiHeadAttention>};
}

}  // namespace ctr
