// SPDX-License-Identifier: Apache-2.0
#include "model/formats/state_files.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/log.h"
#include "model/formats/arrays.h"

namespace ctr {
namespace {

constexpr const char* kFormat = "hugectr optimizer states 1";
constexpr int64_t kMaxDescriptionBytes = int64_t{16} << 20;

std::string description_of(const std::string& path) { return path + ".json"; }

bool is_sum_of_squares(OptimizerType type, int s) {
  return type == OptimizerType::adagrad || type == OptimizerType::rmsprop ||
         (type == OptimizerType::ftrl && s == 0) || (type == OptimizerType::adam && s == 1);
}

}  // namespace

Json describe_optimizer(const OptimizerSpec& optimizer) {
  return {{"format", kFormat},
          {"optimizer", name_of(optimizer.type)},
          {"state_tensors", state_count(optimizer.type)}};
}

void write_description(OutputFile& file, const Json& description) {
  const std::string text = description.dump() + "\n";
  file.write(text.data(), text.size());
}

Json read_description(const FileSystem& files, const std::string& what, const std::string& path,
                      const Json& expected) {
  const std::string name = description_of(path);
  if (!files.exists(name)) {
    if (expected["state_tensors"] != 0)
      log::warning(
          "{} \"{}\": no \"{}\" says what they belong to (first releases wrote none); taken as {}'s, whose "
          "size "
          "they must have",
          what, path, name, expected["optimizer"].get<std::string>());
    return nullptr;
  }
  Json description =
      parse_json(files.read(name, kMaxDescriptionBytes), ErrorKind::io, fmt::format("\"{}\"", name));
  if (!description.is_object() || !description.contains("format"))
    fail(ErrorKind::io, "\"{}\": not a description of optimizer states", name);
  for (const auto& [key, ours] : expected.items())
    if (const Json theirs = description.value(key, Json()); theirs != ours)
      fail(ErrorKind::io, "{} \"{}\": saved by another model or optimizer: {} is {} in \"{}\", here {}", what,
           path, key, theirs.dump(), name, ours.dump());
  return description;
}

bool is_ours(const FileSystem& files, const std::string& path) {
  return files.exists(path + ".step") || files.exists(description_of(path));
}

void check_states(const std::string& path, const OptimizerSpec& optimizer, int s,
                  std::span<const float> values, int64_t first) {
  const bool squares = is_sum_of_squares(optimizer.type, s);
  const auto impossible = [&](float v) { return (squares && v < 0) || !std::isfinite(v); };
  const auto found = std::find_if(values.begin(), values.end(), impossible);
  if (found != values.end())
    fail(ErrorKind::io,
         "\"{0}\": value {2} of state tensor {3} is {4}, which no state of {1} is; was it saved by another "
         "model "
         "or optimizer?",
         path, name_of(optimizer.type), first + (found - values.begin()), s, *found);
}

void write_steps(OutputFile& file, int64_t step, const std::vector<int64_t>& rows) {
  file.write(&step, sizeof step);
  write_array(file, rows);
}

std::vector<int64_t> read_steps(const FileSystem& files, const std::string& path,
                                const std::vector<int64_t>& counts) {
  const auto file = open_steps(files, path, counts);
  return file ? read_steps(*file, 0, file->size() / 8) : std::vector<int64_t>{};
}

std::unique_ptr<RandomAccessFile> open_steps(const FileSystem& files, const std::string& path,
                                             const std::vector<int64_t>& counts) {
  if (!files.exists(path)) return nullptr;
  auto file = files.open(path);
  const int64_t bytes = file->size();
  if (std::find(counts.begin(), counts.end(), bytes / 8) == counts.end() || bytes % 8 != 0)
    fail(ErrorKind::io,
         "step counters \"{}\": {} bytes, expected {}; were they saved by another model or optimizer?", path,
         bytes, 8 * counts.back());
  return file;
}

std::vector<int64_t> read_steps(const RandomAccessFile& file, int64_t first, int64_t count) {
  constexpr int64_t kMaxStep = int64_t{1} << 48;
  std::vector<int64_t> steps(static_cast<size_t>(count));
  read_exactly(file, first * 8, steps.data(), steps.size() * 8);
  for (size_t i = 0; i < steps.size(); ++i)
    if (steps[i] < 0 || steps[i] > kMaxStep)
      fail(ErrorKind::io, "step counters \"{}\": entry {} is {}, which no training reaches", file.path(),
           first + static_cast<int64_t>(i), steps[i]);
  return steps;
}

}  // namespace ctr
