// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace ctr {

struct ScheduleSpec {
  float base_lr = 0.001f;
  int64_t warmup_steps = 1;
  int64_t decay_start = 0;
  int64_t decay_steps = 1;
  float decay_power = 2.0f;
  float end_lr = 0.0f;
};

// Warm-up, plateau, polynomial decay. Serves every optimizer.
class LearningRateSchedule {
 public:
  explicit LearningRateSchedule(const ScheduleSpec& spec);  // throws invalid_argument
  float next();                                             // advances one step and returns its rate
  float current() const { return current_; }                // the rate last returned, or the base rate
  int64_t step() const { return step_; }
  void set_step(int64_t step);
  const ScheduleSpec& spec() const { return spec_; }

 private:
  float at(int64_t n) const;
  ScheduleSpec spec_;
  int64_t step_ = 0;
  float current_;
};

}  // namespace ctr
