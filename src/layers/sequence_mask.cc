// SPDX-License-Identifier: Apache-2.0
#include "layers/sequence_mask.h"

#include <algorithm>

#include "base/parallel.h"
#include "device/memory.h"
#include "kernels/storage.h"
#include "layers/layer.h"

namespace ctr {
namespace {

class SequenceMask final : public Layer {
 public:
  explicit SequenceMask(const Params& p)
      : from_(p.integer("max_sequence_len_from")), to_(p.integer("max_sequence_len_to")) {}

  LayerShapes infer(const InferContext& inputs) const override {
    require_equal_shapes(inputs);
    require(inputs[0].rank() == 2 && inputs[0][1] == 1, "its inputs must be lengths [batch, 1], got {}",
            to_string(inputs[0]));
    return {.outputs = {{inputs[0][0], 1, from_, to_}}};
  }
  void forward(Context& ctx, const LayerRun& run) const override {
    sequence_mask(ctx, run.x[0], run.x[1], run.y[0]);
  }
  void backward(Context& ctx, const LayerRun& run) const override {  // a length has no gradient
    for (size_t i = 0; i < run.x.size(); ++i)
      if (run.wants(i) && !run.accumulates(i)) fill_zero(ctx, run.d_x[i]);
  }

 private:
  int64_t from_, to_;
};

template <class T>
void mask_cpu(Context& ctx, const Tensor& from, const Tensor& to, const Tensor& mask) {
  const int64_t m = mask.shape()[2], k = mask.shape()[3];
  const T *lengths_from = from.data<T>(), *lengths_to = to.data<T>();
  T* out = mask.data<T>();
  parallel_for(ctx.threads, mask.shape()[0], std::max<int64_t>(1, 16384 / (m * k)),
               [=](int64_t begin, int64_t end) {
                 for (int64_t r = begin; r < end; ++r)
                   for (int64_t i = 0; i < m; ++i)
                     for (int64_t j = 0; j < k; ++j) {
                       const bool inside = SequenceMaskMath::is_inside(i, to_float(lengths_from[r])) &&
                                           SequenceMaskMath::is_inside(j, to_float(lengths_to[r]));
                       store<false>(out[(r * m + i) * k + j], inside ? 1.0f : 0.0f);
                     }
               });
}

}  // namespace

constinit decltype(sequence_mask) sequence_mask{
    "SequenceMask", {DType::f32, mask_cpu<float>}, {DType::bf16, mask_cpu<bf16>}};

LayerDef sequence_mask_layer() {
  return {.name = "SequenceMask",
          .doc =
              "of lengths [batch, 1] of queries and of keys: a mask [batch, 1, queries, keys], 1 where both "
              "positions are inside, else 0",
          .min_inputs = 2,
          .max_inputs = 2,
          .params = {{.keyword = "max_sequence_len_from",
                      .json_path = "max_sequence_len_from",
                      .initial = int64_t{1},
                      .doc = "positions of queries",
                      .json_aliases = {"max_sequence_len"},
                      .min = 1,
                      .max = kMaxExtent},
                     {.keyword = "max_sequence_len_to",
                      .json_path = "max_sequence_len_to",
                      .initial = int64_t{1},
                      .doc = "positions of keys",
                      .json_aliases = {"max_sequence_len"},
                      .min = 1,
                      .max = kMaxExtent}},
          .create = make_layer<SequenceMask>};
}

}  // namespace ctr
