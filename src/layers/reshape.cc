// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "base/checked.h"
#include "base/log.h"
#include "layers/mover.h"

namespace ctr {
namespace {

std::string listed(const IntList& values) {
  std::string text;
  for (const int64_t value : values) text += fmt::format("{}{}", text.empty() ? "[" : ", ", value);
  return text + "]";
}

class Reshape final : public Mover {
 public:
  explicit Reshape(const Params& p)
      : leading_dim_(p.integer("leading_dim")),
        time_step_(p.integer("time_step")),
        selected_(p.flag("selected")),
        slots_(p.get<IntList>("selected_slots")),
        shape_(p.get<IntList>("shape")) {
    require(shape_.empty() || (leading_dim_ <= 0 && time_step_ <= 0),
            "takes shape, or leading_dim and time_step, not both");
    if (!selected_ && !slots_.empty())
      log::warn_once("Reshape: selected_slots has no effect without selected=True");
  }

  LayerShapes infer(const InferContext& inputs) const override {
    if (selected_) return infer_selected(inputs[0]);
    return shape_.empty() ? infer_plain(inputs[0]) : infer_shape(inputs[0]);
  }

 private:
  LayerShapes infer_plain(const Shape& x) const {
    const int64_t width = leading_dim_ > 0 ? leading_dim_ : x.numel() / x[0];
    const int64_t steps = std::max<int64_t>(time_step_, 1), wanted = checked_product(width, steps);
    require(x.numel() % wanted == 0, "{} does not divide into rows of {}", to_string(x),
            time_step_ > 0 ? fmt::format("time_step {} x leading_dim {}", time_step_, width)
                           : fmt::format("leading_dim {}", width));
    const int64_t rows = x.numel() / wanted;
    if (time_step_ > 0) return {.outputs = {{rows, steps, width}}, .is_view = true};
    return {.outputs = {{rows, width}}, .is_view = true};
  }

  LayerShapes infer_shape(const Shape& x) const {
    const bool fits = std::ssize(shape_) <= Shape::kMaxRank &&
                      std::count(shape_.begin(), shape_.end(), 0) == 0 &&
                      std::count_if(shape_.begin(), shape_.end(), [](int64_t n) { return n < 0; }) == 1;
    require(fits, "shape must be up to {} dimensions, one of them -1 and the others positive, got {}",
            Shape::kMaxRank, listed(shape_));
    int64_t known = 1;
    for (const int64_t n : shape_)
      if (n > 0) known = checked_product(known, n);
    require(x.numel() % known == 0, "{} does not divide into shape {}", to_string(x), listed(shape_));
    const auto extent = [&](size_t i) { return shape_[i] > 0 ? shape_[i] : x.numel() / known; };
    switch (shape_.size()) {
      case 1: return {.outputs = {{extent(0)}}, .is_view = true};
      case 2: return {.outputs = {{extent(0), extent(1)}}, .is_view = true};
      case 3: return {.outputs = {{extent(0), extent(1), extent(2)}}, .is_view = true};
      default: return {.outputs = {{extent(0), extent(1), extent(2), extent(3)}}, .is_view = true};
    }
  }

  LayerShapes infer_selected(const Shape& x) const {
    require(x.rank() == 3, "selected_slots needs an input [batch, slot, dim], got {}", to_string(x));
    for (const int64_t slot : slots_)
      require(slot >= 0 && slot < x[1], "selected slot {} is outside the {} slots of {}", slot, x[1],
              to_string(x));
    if (slots_.empty()) return {.outputs = {{x[0], x[1] * x[2]}}, .is_view = true};
    LayerShapes shapes{.outputs = {{x[0], checked_product(std::ssize(slots_), x[2])}}, .move_rows = x[0]};
    for (size_t i = 0; i < slots_.size(); ++i)
      shapes.moves.push_back({0, 0, slots_[i] * x[2], static_cast<int64_t>(i) * x[2], x[2]});
    return shapes;
  }

  int64_t leading_dim_, time_step_;
  bool selected_;
  IntList slots_, shape_;
};

}  // namespace

LayerDef reshape_layer() {
  return {.name = "Reshape",
          .doc =
              "the same elements as [-1, leading_dim], [-1, time_step, leading_dim] or `shape`, or the "
              "chosen slots "
              "of a [batch, slot, dim] tensor side by side",
          .params = {{"selected", "selected", false, JsonRule::presence, "choose slots instead of reshaping"},
                     {.keyword = "selected_slots",
                      .json_path = "selected",
                      .initial = IntList{},
                      .doc = "slots in output order; empty: all",
                      .gate = "selected"},
                     {.keyword = "leading_dim",
                      .json_path = "leading_dim",
                      .initial = int64_t{0},
                      .rule = JsonRule::optional,
                      .doc = "last dimension of the output; 0: all elements of a row",
                      .min = 0,
                      .max = kMaxExtent,
                      .gate = "!selected"},
                     {.keyword = "time_step",
                      .json_path = "time_step",
                      .initial = int64_t{0},
                      .rule = JsonRule::optional,
                      .doc = "middle dimension of the output; 0: none",
                      .min = 0,
                      .max = kMaxExtent,
                      .gate = "!selected"},
                     {.keyword = "shape",
                      .json_path = "shape",
                      .initial = IntList{},
                      .rule = JsonRule::if_changed,
                      .doc = "all dimensions of the output, in place of the two; that which is -1 follows",
                      .gate = "!selected"}},
          .create = make_layer<Reshape>};
}

}  // namespace ctr
