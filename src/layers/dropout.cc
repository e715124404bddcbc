// SPDX-License-Identifier: Apache-2.0
#include "layers/dropout.h"

#include <algorithm>
#include <bit>

#include "base/checked.h"
#include "base/parallel.h"
#include "base/vectorize.h"
#include "kernels/elementwise.h"
#include "kernels/storage.h"
#include "layers/layer.h"

namespace ctr {
namespace {

class Dropout final : public Layer {
 public:
  explicit Dropout(const Params& p) : rate_(p.real("dropout_rate")) {
    require(rate_ >= 0 && rate_ <= 1, "dropout_rate must be within [0, 1], got {}", readable(rate_));
  }

  LayerShapes infer(const InferContext& inputs) const override {
    const Shape& x = inputs[0];
    LayerShapes shapes{.outputs = {x}};
    shapes.is_view = rate_ == 0 || rate_ == 1;  // 1 means "nothing is dropped" in the documentation
    // However many samples the rows belong to, they need no more groups than rows by themselves.
    if (!shapes.is_view) shapes.saved = {{DType::i32, {x[0], 2 * DropoutLayout(x, x[0]).groups()}}};
    return shapes;
  }

  void forward(Context& ctx, const LayerRun& run) const override {
    if (run.training)
      dropout_forward(ctx, run.x[0], run.y[0], run.saved[0], rate_, run.name, layout(run));
    else
      scale_into(ctx, run.x[0], run.y[0], 1.0f, false);
  }

  void backward(Context& ctx, const LayerRun& run) const override {
    if (run.wants(0))
      dropout_backward(ctx, run.d_y[0], run.d_x[0], run.saved[0], rate_, layout(run), run.accumulates(0));
  }

 private:
  static DropoutLayout layout(const LayerRun& run) { return {run.x[0].shape(), run.samples}; }

  float rate_;
};

// The two mask words of one group: 16 Philox blocks side by side.
CTR_VECTORIZE void group_bits(const DropoutMask& mask, uint32_t sample, uint32_t group, uint32_t* out) {
  constexpr int kLanes = DropoutMask::kLanes;
  uint32_t words[4][kLanes];
  for (uint32_t lane = 0; lane < kLanes; ++lane) {
    const Random4 r = mask.words(sample, group, lane);
    for (int w = 0; w < 4; ++w) words[w][lane] = r.v[w];
  }
  for (int half = 0; half < 2; ++half) {
    uint32_t bits = 0;
    for (int i = 0; i < 2 * kLanes; ++i)
      bits |= static_cast<uint32_t>(words[2 * half + i / kLanes][i % kLanes] >= mask.threshold) << i;
    out[half] = bits;
  }
}

template <bool kAccumulate, class T>
CTR_VECTORIZE void apply_bits(const T* x, const uint32_t* bits, float scale, int64_t n, T* y) {
  constexpr int64_t kBits = 32;
  for (int64_t first = 0; first < n; first += kBits) {
    const uint32_t word = bits[first / kBits];
    const auto columns = static_cast<uint32_t>(std::min(kBits, n - first));
    for (uint32_t j = 0; j < columns; ++j) {  // a mask, not a choice: branches would keep it from vectorising
      const uint32_t keep = 0u - (word >> j & 1);
      const auto scaled = std::bit_cast<uint32_t>(to_float(x[first + j]) * scale);
      store<kAccumulate>(y[first + j], std::bit_cast<float>(scaled & keep));
    }
  }
}

int64_t sample_grain(int64_t elements) { return std::max<int64_t>(1, 8192 / elements); }

template <class T>
void forward_cpu(Context& ctx, const Tensor& x, const Tensor& y, const Tensor& bits, float rate,
                 std::string_view layer, const DropoutLayout& layout) {
  const int64_t n = layout.elements, groups = layout.groups();
  const auto mask = DropoutMask::make(ctx.seed, layer, ctx.step->step, rate);
  const auto first = static_cast<uint32_t>(layout.first(ctx.step->first_sample));
  auto* out_bits = reinterpret_cast<uint32_t*>(bits.data<int32_t>());
  parallel_for(ctx.threads, layout.samples, sample_grain(n), [&](int64_t begin, int64_t end) {
    for (int64_t s = begin; s < end; ++s) {
      uint32_t* sample_bits = out_bits + s * 2 * groups;
      for (int64_t g = 0; g < groups; ++g)
        group_bits(mask, first + static_cast<uint32_t>(s), static_cast<uint32_t>(g), sample_bits + 2 * g);
      apply_bits<false>(x.data<T>() + s * n, sample_bits, 1 / (1 - rate), n, y.data<T>() + s * n);
    }
  });
}

template <class T>
void backward_cpu(Context& ctx, const Tensor& d_y, const Tensor& d_x, const Tensor& bits, float rate,
                  const DropoutLayout& layout, bool accumulate) {
  const int64_t n = layout.elements, words = 2 * layout.groups();
  const auto* mask = reinterpret_cast<const uint32_t*>(bits.data<int32_t>());
  const auto apply = accumulate ? apply_bits<true, T> : apply_bits<false, T>;
  parallel_for(ctx.threads, layout.samples, sample_grain(n), [&](int64_t begin, int64_t end) {
    for (int64_t s = begin; s < end; ++s)
      apply(d_y.data<T>() + s * n, mask + s * words, 1 / (1 - rate), n, d_x.data<T>() + s * n);
  });
}

}  // namespace

constinit decltype(dropout_forward) dropout_forward{
    "Dropout.forward", {DType::f32, forward_cpu<float>}, {DType::bf16, forward_cpu<bf16>}};
constinit decltype(dropout_backward) dropout_backward{
    "Dropout.backward", {DType::f32, backward_cpu<float>}, {DType::bf16, backward_cpu<bf16>}};

LayerDef dropout_layer() {
  return {.name = "Dropout",
          .doc = "in training, zeroes elements at random and scales the rest by 1 / (1 - rate)",
          .params = {{"dropout_rate", "rate", 0.5, JsonRule::optional, "probability of zeroing an element"}},
          .create = make_layer<Dropout>};
}

}  // namespace ctr
