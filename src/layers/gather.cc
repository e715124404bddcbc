// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <limits>
#include <numeric>

#include "kernels/rows.h"
#include "layers/layer.h"

namespace ctr {
namespace {

class Gather final : public Layer {
 public:
  explicit Gather(const Params& p) : indices_(p.get<IntList>("indices")) {
    require(!indices_.empty(), "indices must name at least one row");
  }

  LayerShapes infer(const InferContext& inputs) const override {
    Shape y = inputs[0];
    const int64_t rows = y[0];
    require(y.rank() >= 2 && y.numel() > 0, "its input must have at least two dimensions, got {}",
            to_string(y));
    require(std::max(rows, std::ssize(indices_)) < std::numeric_limits<int32_t>::max(),
            "{} has too many rows", to_string(y));
    for (const int64_t index : indices_)
      require(index >= 0 && index < rows, "index {} is outside the {} rows of {}", index, rows, to_string(y));
    y.set(0, std::ssize(indices_));
    LayerShapes shapes{
        .outputs = {y}, .strided_inputs = Strided::samples, .strided_outputs = Strided::samples};
    shapes.constants = {ConstantDef(std::vector<int32_t>(indices_.begin(), indices_.end())),
                        ConstantDef(takers()), ConstantDef(begins(rows))};
    return shapes;
  }
  void forward(Context& ctx, const LayerRun& run) const override {
    gather_rows(ctx, run.x[0], run.constants[0], run.y[0]);
  }
  void backward(Context& ctx, const LayerRun& run) const override {
    if (run.wants(0))
      scatter_rows(ctx, run.d_y[0], {run.constants[1], run.constants[2]}, run.d_x[0], run.accumulates(0));
  }

 private:
  // Output rows by the input row they take, and how many take a row before each.
  std::vector<int32_t> takers() const {
    std::vector<int32_t> order(indices_.size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
      return indices_[static_cast<size_t>(a)] < indices_[static_cast<size_t>(b)];
    });
    return order;
  }
  std::vector<int32_t> begins(int64_t rows) const {
    std::vector<int32_t> count(static_cast<size_t>(rows) + 1, 0);
    for (const int64_t index : indices_) ++count[static_cast<size_t>(index) + 1];
    std::partial_sum(count.begin(), count.end(), count.begin());
    return count;
  }

  IntList indices_;
};

}  // namespace

LayerDef gather_layer() {
  return {
      .name = "Gather",
      .doc = "the chosen rows (of the first dimension) of a tensor, in this order; rows may be chosen again",
      .params = {{"indices", "indices", IntList{}, JsonRule::always, "rows in output order"}},
      .create = make_layer<Gather>};
}

}  // namespace ctr
