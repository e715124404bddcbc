// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "base/dtype.h"
#include "device/context.h"

namespace ctr {

// Where the time of training goes: per layer, forward and backward. Switched on by HUGECTR_PROFILE: "1"
// prints a table after fit, any other value also names a file for a Chrome trace of the first steps.
class Profile {
 public:
  enum class Phase { forward, backward };

  // Null when the switch is off.
  static std::unique_ptr<Profile> from_environment();

  // `flops` and `bytes` are of one forward pass; a backward pass counts twice. Returns the row's index.
  size_t add_row(std::string name, std::string type, double flops, double bytes);
  void finish_step() { ++steps_; }

  template <class Work>
  void measure(const Context& ctx, size_t row, Phase phase, const Work& work) {
    const auto start = Clock::now();
    work();
    record(ctx, row, phase, start);
  }

  // The table: milliseconds a step, share, rates, and the part of the roofline reached (the larger of the
  // parts of the machine's matrix rate in the type that the network computes in and of its copy rate, both
  // measured here).
  std::string report(Context& ctx, DType compute) const;
  void write_trace() const;

 private:
  using Clock = std::chrono::steady_clock;
  struct Row {
    std::string name, type;
    double flops, bytes;
    double seconds[2] = {};
  };
  struct Event {
    size_t row;
    Phase phase;
    double start, seconds;
  };
  void record(const Context& ctx, size_t row, Phase phase, Clock::time_point start);

  std::string trace_path_;
  std::vector<Row> rows_;
  std::vector<Event> events_;
  int64_t steps_ = 0;
  Clock::time_point origin_ = Clock::now();
};

// Runs `work`, measured when there is a profile.
template <class Work>
void measured(Profile* profile, const Context& ctx, size_t row, Profile::Phase phase, const Work& work) {
  if (profile)
    profile->measure(ctx, row, phase, work);
  else
    work();
}

}  // namespace ctr
