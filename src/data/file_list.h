// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "io/file_system.h"

namespace ctr {

// The paths of a file list as written: a count N, then N paths, one a line. `name` is the list's path for
// messages.
std::vector<std::string> parse_file_list(std::string_view text, const std::string& name);

// Reads a list, after completing an interrupted replacement of it, and resolves its paths against the working
// directory, else against the list's own directory, where a data set that was moved is found by the end of
// its old path. Throws when one of the files does not exist.
std::vector<std::string> read_file_list(const FileSystem& files, const std::string& path);

// For messages: control characters and bytes that are not UTF-8 as \xNN.
std::string printable(std::string_view text);

std::string directory_of(const std::string& path);  // "." when it has none

}  // namespace ctr
