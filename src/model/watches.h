// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "model/backward.h"
#include "model/finite_watch.h"
#include "model/regularizer.h"

namespace ctr {

// Whether the numbers of a training network are finite, and which were not first.
class Watches {
 public:
  Watches(const Context& ctx, const Forward& forward, const Backward& backward, const Weights& weights,
          const Regularizers& regularizers);

  void check_step(Context& ctx) const { step_.check(ctx); }  // of losses; may be recorded in a step
  // The step whose loss was the first not to be finite, and where the first such number came from.
  std::optional<FiniteWatch::Finding> divergence(const Context& ctx) const { return step_.finding(ctx); }
  void forget(const Context& ctx) const { step_.forget(ctx); }

  // What of the dense weights and the running statistics is not finite; empty when there is nothing.
  std::string not_finite_weight(Context& ctx) const { return look_at(ctx, weights_); }
  std::string not_finite_gradient(Context& ctx, size_t embedding) const {
    return look_at(ctx, gradients_[embedding]);
  }

 private:
  static std::string look_at(Context& ctx, const FiniteWatch& watch);

  FiniteWatch step_, weights_;
  std::vector<FiniteWatch> gradients_;  // of each embedding
};

}  // namespace ctr
