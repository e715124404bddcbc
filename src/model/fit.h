// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>

#include "model/engine.h"

namespace ctr {

struct FitOptions {
  int64_t num_epochs = 0;   // epoch mode
  int64_t max_iter = 2000;  // iteration mode
  int64_t display = 200;    // intervals in iterations; <= 0 switches the action off
  int64_t eval_interval = 1000;
  int64_t snapshot = 10000;
  std::string snapshot_prefix;
};

struct FitProgress {
  enum class Event { step, evaluation, finished };
  Event event = Event::step;
  int64_t iteration = 0;  // batches trained on
  int64_t total = 0;      // 0 when unknown (first epoch)
  int64_t epoch = 0;
  double seconds = 0;                                        // since fit began
  std::vector<std::pair<std::string, double>> metrics = {};  // of an evaluation
};

// Called after every iteration, every evaluation batch (event step) and every evaluation. May throw: fit ends
// there, the model stays usable.
using FitHook = std::function<void(const FitProgress&)>;

// The training loop: schedule, steps, display, evaluation, snapshots and the log lines that scripts read.
void fit(Engine& engine, const FitOptions& options, const FitHook& hook);

}  // namespace ctr
