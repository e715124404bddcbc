// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "layers/mover.h"

namespace ctr {
namespace {

class Slice final : public Mover {
 public:
  explicit Slice(const Params& p) : ranges_(p.get<RangeList>("ranges")) {
    require(!ranges_.empty(), "ranges must name at least one [begin, end) range");
  }

  LayerShapes infer(const InferContext& inputs) const override {
    const int64_t n = inputs[0].last();
    LayerShapes shapes;
    shapes.move_rows = inputs[0].rows();
    for (const auto& [begin, end] : ranges_) {
      require(0 <= begin && begin < end && end <= n, "range [{}, {}) does not fit the last dimension of {}",
              begin, end, to_string(inputs[0]));
      Shape y = inputs[0];
      y.set(-1, end - begin);
      shapes.moves.push_back({0, static_cast<int>(shapes.outputs.size()), begin, 0, end - begin});
      shapes.outputs.emplace_back(y);
    }
    shapes.is_view = std::all_of(ranges_.begin(), ranges_.end(),
                                 [n](const auto& r) { return r.first == 0 && r.second == n; });
    return shapes;
  }

 private:
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
