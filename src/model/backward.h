// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "model/forward.h"
#include "model/train_state.h"

namespace ctr {

// The way back through a Forward's layers: owns the gradients of activations. A call allocates nothing.
class Backward {
 public:
  // Both must outlive it.
  Backward(Forward& forward, const TrainState& state, const Context& ctx);
  Backward(const Backward&) = delete;
  Backward& operator=(const Backward&) = delete;

  // After a run of the Forward. Fills the weight gradients and the gradients of embedding outputs.
  void run(Context& ctx, Profile* profile = nullptr) const;
  Tensor gradient(int id) const { return gradients_[static_cast<size_t>(id)]; }  // null where there is none

 private:
  struct Step {  // what a node's run has beside that of forward
    std::vector<Tensor> d_x, d_y;
    LayerRun run;
  };
  Tensor zeroed_part(const ZeroedColumns& columns) const;
  Step resolve(size_t node) const;
  void run_layer(size_t node, Context& ctx) const;

  const Forward& forward_;
  std::vector<Tensor> gradients_, zeroed_;
  std::vector<Step> steps_;
};

}  // namespace ctr
