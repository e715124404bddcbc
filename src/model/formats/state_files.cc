// SPDX-License-Identifier: Apache-2.0
#include "model/formats/state_files.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/log.h"
#include "model/formats/arrays.h"

namespace ctr {

bool may_be_16_bit(const std::string& path) { return !exists(path + ".step"); }

void accept_16_bit_states(const std::string& path, const OptimizerSpec& optimizer,
                          const std::vector<std::vector<float>>& states) {
  const auto possible = [&](size_t s) {
    const bool sum_of_squares = optimizer.type == OptimizerType::adagrad || s == 1;
    return std::all_of(states[s].begin(), states[s].end(),
                       [&](float v) { return std::isfinite(v) && (!sum_of_squares || v >= 0); });
  };
  for (size_t s = 0; s < states.size(); ++s)
    if (!possible(s))
      fail(ErrorKind::io, "\"{}\" has the size of {}'s states in 16 bit, but holds something else", path,
           name_of(optimizer.type));
  log::info("\"{}\": read as 16-bit values", path);
}

void write_steps(OutputFile& file, int64_t step, const std::vector<int64_t>& rows) {
  file.write(&step, sizeof step);
  write_array(file, rows);
}

std::vector<int64_t> read_steps(const std::string& path) {
  if (!exists(path)) return {};
  const RandomAccessFile file(path);
  if (file.size() == 0 || file.size() % 8 != 0)
    fail(ErrorKind::io, "step counters \"{}\": {} bytes, expected a multiple of 8", path, file.size());
  auto steps = read_array<int64_t>(file, file.size() / 8);
  constexpr int64_t kMaxStep = int64_t{1} << 48;
  for (size_t i = 0; i < steps.size(); ++i)
    if (steps[i] < 0 || steps[i] > kMaxStep)
      fail(ErrorKind::io, "step counters \"{}\": entry {} is {}, which no training reaches", path, i,
           steps[i]);
  return steps;
}

}  // namespace ctr
