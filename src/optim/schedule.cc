// SPDX-License-Identifier: Apache-2.0
#include "optim/schedule.h"

#include <algorithm>
#include <cmath>

#include "base/checked.h"
#include "base/error.h"

namespace ctr {

LearningRateSchedule::LearningRateSchedule(const ScheduleSpec& spec) : spec_(spec), current_(spec.base_lr) {
  require(std::isfinite(spec.base_lr) && spec.base_lr >= 0,
          "learning rate must be at least 0 and finite, got {}", readable(spec.base_lr));
  require(spec.warmup_steps >= 1, "warmup_steps must be at least 1, got {}", spec.warmup_steps);
  require(spec.decay_start >= 0, "decay_start must be at least 0 (0: no decay), got {}", spec.decay_start);
  require(spec.decay_steps >= 1, "decay_steps must be at least 1, got {}", spec.decay_steps);
  require(std::isfinite(spec.decay_power) && spec.decay_power >= 1,
          "decay_power must be at least 1 and finite, got {}", readable(spec.decay_power));
  require(std::isfinite(spec.end_lr) && spec.end_lr >= 0, "end_lr must be at least 0 and finite, got {}",
          readable(spec.end_lr));
}

float LearningRateSchedule::next() { return current_ = at(++step_); }

void LearningRateSchedule::set_step(int64_t step) {
  step_ = step;
  current_ = step == 0 ? spec_.base_lr : at(step);
}

float LearningRateSchedule::at(int64_t n) const {
  const auto& [base, warmup, start, steps, power, end] = spec_;
  if (n <= warmup)
    return static_cast<float>(double{base} * static_cast<double>(n) / static_cast<double>(warmup));
  if (start == 0 || n <= start) return base;
  const int64_t decayed = n - start;
  if (decayed > steps) return end;
  const double left = static_cast<double>(steps - decayed) / static_cast<double>(steps);
  return std::max(static_cast<float>(base * std::pow(left, power)), end);
}

}  // namespace ctr
