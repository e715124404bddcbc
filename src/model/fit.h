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
  // tick: a batch was dropped or evaluated. display, snapshot, finished: it has just been done.
  enum class Event { started, tick, iteration, display, evaluation_starts, evaluated, snapshot, finished };
  Event event = Event::tick;
  int64_t iteration = 0;  // batches trained on
  int64_t total = 0;      // 0 when unknown (first epoch)
  int64_t epoch = 0;
  double seconds = 0;                                        // since fit began
  int64_t trained_rows = 0, dropped_rows = 0;                // in all epochs
  std::vector<std::pair<std::string, double>> metrics = {};  // of an evaluation
};

// Told of every event; true asks fit to stop. May throw: fit ends there, the model stays usable.
using FitHook = std::function<bool(const FitProgress&)>;

// The training loop: schedule, steps, display, evaluation, snapshots and the log lines that scripts read.
void fit(Engine& engine, const FitOptions& options, const FitHook& hook);

}  // namespace ctr
