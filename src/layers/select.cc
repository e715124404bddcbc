// SPDX-License-Identifier: Apache-2.0
#include "layers/mover.h"

namespace ctr {
namespace {

// Slices of one dimension, in any order and any number of times.
class Select final : public Mover {
 public:
  explicit Select(const Params& p) : dim_(p.integer("dim")), index_(p.get<IntList>("index")) {
    require(dim_ >= 1, "dim must be at least 1 (dimension 0 is the batch), got {}", dim_);
    require(!index_.empty(), "index must name at least one slice");
  }

  LayerShapes infer(const InferContext& inputs) const override {
    const Shape& x = inputs[0];
    require(dim_ < x.rank(), "dim {} is outside the dimensions of {}", dim_, to_string(x));
    for (const int64_t i : index_)
      require(i >= 0 && i < x[dim()], "index {} is outside the {} slices of {} along dim {}", i, x[dim()],
              to_string(x), dim_);
    Shape y = x;
    y.set(dim(), std::ssize(index_));
    return moves(x, y);
  }

 private:
  int dim() const { return static_cast<int>(dim_); }

  // A run of consecutive slices at a time, between matrices whose rows hold all slices.
  LayerShapes moves(const Shape& x, const Shape& y) const {
    LayerShapes shapes{.outputs = {y}, .move_rows = 1};
    int64_t inner = 1;
    for (int i = 0; i < dim(); ++i) shapes.move_rows *= x[i];
    for (int i = dim() + 1; i < x.rank(); ++i) inner *= x[i];
    for (size_t begin = 0, end; begin < index_.size(); begin = end) {
      for (end = begin + 1; end < index_.size() && index_[end] == index_[end - 1] + 1;) ++end;
      shapes.moves.push_back({0, 0, index_[begin] * inner, static_cast<int64_t>(begin) * inner,
                              static_cast<int64_t>(end - begin) * inner});
    }
    return shapes;
  }

  int64_t dim_;
  IntList index_;
};

}  // namespace

LayerDef select_layer() {
  return {.name = "Select",
          .doc = "the slices `index` of dimension `dim`, in that order",
          .params = {{.keyword = "dim",
                      .json_path = "dim",
                      .initial = int64_t{0},
                      .doc = "dimension to choose along, 1 at least",
                      .max = kMaxExtent},
                     {"index", "index", IntList{}, JsonRule::always, "slices in output order; may repeat"}},
          .create = make_layer<Select>};
}

}  // namespace ctr
