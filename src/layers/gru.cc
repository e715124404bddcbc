// SPDX-License-Identifier: Apache-2.0
#include "layers/gru.h"

#include <algorithm>

#include "base/checked.h"
#include "base/parallel.h"
#include "device/memory.h"
#include "kernels/gemm.h"
#include "kernels/reduce.h"
#include "kernels/storage.h"
#include "layers/layer.h"

namespace ctr {
namespace {

// `count` matrix rows of a tensor whose memory is rows of `width`.
Tensor rows_of(const Tensor& t, int64_t first, int64_t count, int64_t width) {
  auto* begin = static_cast<std::byte*>(t.raw()) + static_cast<size_t>(first * width) * size_of(t.dtype());
  return {t.dtype(), {count, width}, begin};
}

class Gru final : public Layer {
 public:
  explicit Gru(const Params& p)
      : width_(p.integer("num_output")),
        sequences_(p.integer("batchsize")),
        steps_(p.integer("SeqLength")),
        inputs_(p.integer("vector_size")),
        weight_init_(p.text("weight_init_type")),
        bias_init_(p.text("bias_init_type")) {}

  LayerShapes infer(const InferContext& inputs) const override {
    const Shape& x = inputs[0];
    require(
        fits(x),
        "its input must be [batchsize * SeqLength, vector_size], step by step, or the same in one row, or "
        "[sequences, SeqLength, vector_size], with batchsize {}, SeqLength {} and vector_size {}; got {}",
        sequences_, steps_, inputs_, to_string(x));
    const int64_t rows = x.numel() / inputs_, sequences = rows / steps_;
    Shape y = x;
    y.set(-1, x.last() / inputs_ * width_);
    const auto v = static_cast<double>(inputs_), h = static_cast<double>(width_);
    LayerShapes shapes{.outputs = {y},
                       .weights = {{"input_weight",
                                    {3 * width_, inputs_},
                                    choose_initializer(weight_init_, v, h, xavier_uniform(v, h)),
                                    true},
                                   {"hidden_weight",
                                    {3 * width_, width_},
                                    choose_initializer(weight_init_, h, h, xavier_uniform(h, h)),
                                    true},
                                   {"bias",
                                    {1, 3 * width_},
                                    choose_initializer(bias_init_, 0, h, Initializer::constant(0))}},
                       .saved = {{DType::f32, {rows, 3 * width_}}, {DType::f32, {rows, width_}}},
                       .scratch = {{DType::f32, {sequences, 3 * width_}},
                                   {DType::f32, {sequences, width_}},
                                   {DType::f32, {rows, 3 * width_}, true},
                                   {DType::f32, {rows, 3 * width_}, true}}};
    if (x.rank() == 3) shapes.saved.push_back({DType::f32, {rows, width_}, true});
    shapes.flops = 6.0 * static_cast<double>(rows) * h * (v + h);
    return shapes;
  }

  void forward(Context& ctx, const LayerRun& run) const override {
    GruStep s = step(run);
    gemm(ctx, input(run.x[0]), run.w[0], s.gates, {.transpose_b = true, .bias = run.w[2]});
    for (s.t = 0; s.t < steps_; ++s.t) {
      if (s.t > 0) gemm(ctx, state(s, s.t - 1), run.w[1], s.product, {.transpose_b = true});
      gru_forward_step(ctx, run.y[0], s);
    }
  }

  void backward(Context& ctx, const LayerRun& run) const override {
    GruStep s = step(run);
    s.d_gates = run.scratch[2], s.d_hidden = run.scratch[3];
    for (s.t = steps_ - 1; s.t >= 0; --s.t) {
      s.is_last = s.t == steps_ - 1;
      gru_backward_step(ctx, run.d_y[0], s);
      if (s.t > 0)
        gemm(ctx, rows_of(s.d_hidden, s.t * s.sequences, s.sequences, 3 * width_), run.w[1], s.carry,
             {.accumulate = true});
    }
    const int64_t rows = steps_ * s.sequences, later = rows - s.sequences;
    gemm(ctx, s.d_gates, input(run.x[0]), run.d_w[0], {.transpose_a = true});
    if (later > 0)
      gemm(ctx, rows_of(s.d_hidden, s.sequences, later, 3 * width_), rows_of(s.hidden, 0, later, width_),
           run.d_w[1], {.transpose_a = true});
    else
      fill_zero(ctx, run.d_w[1]);
    reduce_sum(ctx, s.d_gates, run.d_w[2], {1, rows, 3 * width_}, 1.0f, false);
    if (run.wants(0)) gemm(ctx, s.d_gates, run.w[0], input(run.d_x[0]), {.accumulate = run.accumulates(0)});
  }

 private:
  // The number of sequences is that of the batch: batches of evaluation, or of a rank, have others than
  // batchsize says.
  bool fits(const Shape& x) const {
    const int64_t sequence = checked_product(steps_, inputs_);
    if (x.rank() == 3) return x[1] == steps_ && x[2] == inputs_;
    return x.rank() == 2 && x.numel() % sequence == 0 && (x[1] == inputs_ || x[0] == 1);
  }
  Tensor input(const Tensor& x) const { return {x.dtype(), {x.numel() / inputs_, inputs_}, x.raw()}; }
  Tensor state(const GruStep& s, int64_t t) const {
    return rows_of(s.hidden, t * s.sequences, s.sequences, width_);
  }

  GruStep step(const LayerRun& run) const {
    const bool by_sequence = run.x[0].shape().rank() == 3;
    const int64_t sequences = run.x[0].numel() / inputs_ / steps_;
    return {.t = 0,
            .sequences = sequences,
            .width = width_,
            .step_stride = by_sequence ? 1 : sequences,
            .sequence_stride = by_sequence ? steps_ : 1,
            .gates = run.saved[0],
            .u = run.saved[1],
            .product = run.scratch[0],
            .hidden = by_sequence ? run.saved[2] : run.y[0],
            .carry = run.scratch[1],
            .is_last = false,
            .d_gates = {},
            .d_hidden = {}};
  }

  int64_t width_, sequences_, steps_, inputs_;
  std::string weight_init_, bias_init_;
};

template <class Body>
void for_sequences(const Context& ctx, const GruStep& s, const Body& body) {
  parallel_for(ctx.threads, s.sequences, std::max<int64_t>(1, 512 / s.width),
               [&](int64_t begin, int64_t end) {
                 for (int64_t q = begin; q < end; ++q) body(q, s.row(q), s.t * s.sequences + q);
               });
}

template <class T>
void forward_cpu(Context& ctx, const Tensor& y, const GruStep& s) {
  const int64_t h = s.width;
  for_sequences(ctx, s, [&](int64_t q, int64_t row, int64_t state) {
    float *gates = s.gates.data<float>() + row * 3 * h, *u = s.u.data<float>() + row * h;
    const float* product = s.product.data<float>() + q * 3 * h;
    T *out = y.data<T>() + row * h, *hidden = s.hidden.data<T>() + state * h;
    const T* before = s.t > 0 ? hidden - s.sequences * h : nullptr;
    for (int64_t k = 0; k < h; ++k) {
      const bool first = !before;
      u[k] = first ? 0.0f : product[2 * h + k];
      const GruMath m =
          GruMath::forward(gates[k], gates[h + k], gates[2 * h + k], first ? 0.0f : product[k],
                           first ? 0.0f : product[h + k], u[k], first ? 0.0f : to_float(before[k]));
      gates[k] = m.r, gates[h + k] = m.i, gates[2 * h + k] = m.n;
      store<false>(out[k], m.h);
      hidden[k] = out[k];
    }
  });
}

template <class T>
void backward_cpu(Context& ctx, const Tensor& d_y, const GruStep& s) {
  const int64_t h = s.width;
  for_sequences(ctx, s, [&](int64_t q, int64_t row, int64_t state) {
    const float *gates = s.gates.data<float>() + row * 3 * h, *u = s.u.data<float>() + row * h;
    const T* before = s.t > 0 ? s.hidden.data<T>() + (state - s.sequences) * h : nullptr;
    const T* g = d_y.data<T>() + row * h;
    float* carry = s.carry.data<float>() + q * h;
    T *d_gates = s.d_gates.data<T>() + row * 3 * h, *d_hidden = s.d_hidden.data<T>() + state * 3 * h;
    for (int64_t k = 0; k < h; ++k) {
      const auto d = GruMath::backward(gates[k], gates[h + k], gates[2 * h + k], u[k],
                                       before ? to_float(before[k]) : 0.0f,
                                       to_float(g[k]) + (s.is_last ? 0.0f : carry[k]));
      carry[k] = d.h0;
      store<false>(d_gates[k], d.r), store<false>(d_gates[h + k], d.i), store<false>(d_gates[2 * h + k], d.n);
      store<false>(d_hidden[k], d.r), store<false>(d_hidden[h + k], d.i);
      store<false>(d_hidden[2 * h + k], d.u);
    }
  });
}

ParamDef extent(const char* keyword, const char* path, const char* doc) {
  return {
      .keyword = keyword, .json_path = path, .initial = int64_t{1}, .doc = doc, .min = 1, .max = kMaxExtent};
}

}  // namespace

constinit decltype(gru_forward_step) gru_forward_step{
    "GRU.forward", {DType::f32, forward_cpu<float>}, {DType::bf16, forward_cpu<bf16>}};
constinit decltype(gru_backward_step) gru_backward_step{
    "GRU.backward", {DType::f32, backward_cpu<float>}, {DType::bf16, backward_cpu<bf16>}};

LayerDef gru_layer() {
  return {.name = "GRU",
          .doc =
              "gated recurrent unit over [batchsize * SeqLength, vector_size], step by step (also in one "
              "row), or over [sequences, SeqLength, vector_size]; gives its state after every step",
          .params = {extent("num_output", "gru_param.num_output", "width of the state"),
                     extent("batchsize", "gru_param.batchsize",
                            "sequences of a batch; the input's size decides where it says something else"),
                     extent("SeqLength", "gru_param.SeqLength", "steps of a sequence"),
                     extent("vector_size", "gru_param.vector_size", "input width of a step"),
                     {"weight_init_type", "gru_param.weight_init", std::string("Default"),
                      JsonRule::if_changed, "initializer of the weights"},
                     {"bias_init_type", "gru_param.bias_init", std::string("Default"), JsonRule::if_changed,
                      "initializer of the biases"}},
          .create = make_layer<Gru>};
}

}  // namespace ctr
