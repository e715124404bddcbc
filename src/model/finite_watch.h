// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "device/buffer.h"
#include "kernels/kernel.h"

namespace ctr {

// Tensors as a watch's kernel sees them, and where it writes what it finds; all in the memory of the device.
struct WatchedTensor {
  const void* data;
  int64_t rows, columns, stride;
  DType dtype;
};
struct WatchRecord {
  int64_t step;    // StepState::step when a number was not finite for the first time; -1: never so far
  int64_t tensor;  // the first one that holds such a number
};
struct WatchView {
  const WatchedTensor* tensors;
  int64_t count;
  const WatchedTensor* triggers;
  int64_t triggers_count;
};

// Where a trigger is not finite and `record` [2] (i64) is empty, looks for the first tensor that is not
// finite and records it. A step in which all is well reads the triggers alone.
extern Kernel<void(const Tensor& record, const WatchView& view)> watch_finite;

// Remembers on the device when a number first was not finite, and in which tensor; the host asks when it
// likes.
class FiniteWatch {
 public:
  struct Watched {
    std::string name;
    Tensor tensor;
  };
  struct Finding {
    int64_t step;
    std::string name;
  };

  FiniteWatch() = default;
  // Small `triggers` are looked at in every check(), the others once one of them is not finite.
  FiniteWatch(const Context& ctx, const std::vector<Tensor>& triggers, std::vector<Watched> watched);

  void check(Context& ctx) const;                            // may be recorded in a step
  std::optional<Finding> finding(const Context& ctx) const;  // waits for the device
  void forget(const Context& ctx) const;

 private:
  Tensor record() const { return {DType::i64, {2}, record_.data()}; }

  std::vector<std::string> names_;
  Buffer tensors_, record_;
  WatchView view_{};
};

}  // namespace ctr
