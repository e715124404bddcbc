// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/json.h"
#include "io/file_system.h"
#include "optim/rules.h"

namespace ctr {

// What the files of optimizer states have in common, dense and sparse ones. The states have no header: what
// they belong to is said by "<path>.json" beside them, an object that starts with describe_optimizer(). Files
// of others and of our first release have none, and prove by size and values what they can.

Json describe_optimizer(const OptimizerSpec& optimizer);
void write_description(OutputFile& file, const Json& description);
// The description beside `path`; null, with a warning, where there is none. Throws unless it agrees with all
// that `expected` says. `what` begins the error.
Json read_description(const FileSystem& files, const std::string& what, const std::string& path,
                      const Json& expected);

// True when a side file says that a release of ours wrote `path`. Others wrote 16-bit states and longer ones.
bool is_ours(const FileSystem& files, const std::string& path);

// Refuses values that tensor `s` of this optimizer's states cannot have; `first` is the place of the first
// one.
void check_states(const std::string& path, const OptimizerSpec& optimizer, int s,
                  std::span<const float> values, int64_t first = 0);

// Step counters beside an optimizer file: i64, the optimizer's step first. Missing: none, null. Their number
// must be one of `counts`.
void write_steps(OutputFile& file, int64_t step, const std::vector<int64_t>& rows);
std::vector<int64_t> read_steps(const FileSystem& files, const std::string& path,
                                const std::vector<int64_t>& counts);
std::unique_ptr<RandomAccessFile> open_steps(const FileSystem& files, const std::string& path,
                                             const std::vector<int64_t>& counts);
std::vector<int64_t> read_steps(const RandomAccessFile& file, int64_t first, int64_t count);

}  // namespace ctr
