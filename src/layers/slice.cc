// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "device/memory.h"
#include "kernels/columns.h"
#include "layers/layer.h"

namespace ctr {
namespace {

class Slice final : public Layer {
 public:
  explicit Slice(const Params& p) : ranges_(p.get<RangeList>("ranges")) {
    require(!ranges_.empty(), "ranges must name at least one [begin, end) range");
  }

  LayerShapes infer(std::span<const Shape> inputs) const override {
    const int64_t n = inputs[0].last();
    LayerShapes shapes;
    for (const auto& [begin, end] : ranges_) {
      require(0 <= begin && begin < end && end <= n, "range [{}, {}) does not fit the last dimension of {}",
              begin, end, to_string(inputs[0]));
      shapes.outputs.push_back(inputs[0]);
      shapes.outputs.back().set(-1, end - begin);
    }
    shapes.is_view = std::all_of(ranges_.begin(), ranges_.end(),
                                 [n](const auto& r) { return r.first == 0 && r.second == n; });
    return shapes;
  }

  void forward(Context& ctx, const LayerRun& run) const override {
    for (size_t i = 0; i < ranges_.size(); ++i) {
      const ColumnBlock block{ranges_[i].first, 0, width(i)};
      copy_columns(ctx, run.x[0], run.y[i], run.x[0].shape().rows(), block, false);
    }
  }

  void backward(Context& ctx, const LayerRun& run) const override {
    if (!run.wants(0)) return;
    const bool add = run.accumulates(0) || !covers_once(run.x[0].shape().last());
    if (add && !run.accumulates(0)) fill_zero(ctx, run.d_x[0]);
    for (size_t i = 0; i < ranges_.size(); ++i) {
      const ColumnBlock block{0, ranges_[i].first, width(i)};
      copy_columns(ctx, run.d_y[i], run.d_x[0], run.x[0].shape().rows(), block, add);
    }
  }

 private:
  int64_t width(size_t i) const { return ranges_[i].second - ranges_[i].first; }

  // Ranges in order, without gap or overlap. (Other orders are merely slower.)
  bool covers_once(int64_t n) const {
    int64_t at = 0;
    for (const auto& [begin, end] : ranges_) {
      if (begin != at) return false;
      at = end;
    }
    return at == n;
  }

  RangeList ranges_;
};

}  // namespace

LayerDef slice_layer() {
  return {.name = "Slice",
          .doc = "one output per range of the last dimension; ranges may overlap",
          .params = {{"ranges", "ranges", RangeList{}, JsonRule::always, "half-open [begin, end) ranges"}},
          .create = make_layer<Slice>};
}

}  // namespace ctr
