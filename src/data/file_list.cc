// SPDX-License-Identifier: Apache-2.0
#include "data/file_list.h"

#include <charconv>

#include "base/error.h"
#include "base/log.h"
#include "io/file.h"

namespace ctr {
namespace {

constexpr int64_t kMaxListBytes = int64_t{1} << 28;

// Takes the first line off `text`, without trailing white space.
std::string_view take_line(std::string_view& text) {
  const size_t end = text.find('\n');
  std::string_view line = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  const size_t last = line.find_last_not_of(" \t\r\v\f");
  return line.substr(0, last == std::string_view::npos ? 0 : last + 1);
}

int64_t parse_count(std::string_view line, const std::string& name) {
  int64_t count = 0;
  const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), count);
  if (line.empty() || error != std::errc{} || end != line.data() + line.size() || count <= 0)
    fail(ErrorKind::io, "file list \"{}\", line 1: expected the number of data files, found \"{}\"", name,
         line.substr(0, 80));
  return count;
}

}  // namespace

std::vector<std::string> parse_file_list(std::string_view text, const std::string& name) {
  const int64_t count = parse_count(take_line(text), name);
  std::vector<std::string> paths;
  for (int64_t line = 2; !text.empty(); ++line) {
    const std::string_view path = take_line(text);
    const auto found = static_cast<int64_t>(paths.size());
    if (found < count) {
      if (path.empty())
        fail(ErrorKind::io, "file list \"{}\", line {}: empty path; {} data files announced, {} found", name,
             line, count, found);
      paths.emplace_back(path);
    } else if (!path.empty()) {
      log::warn_once(
          fmt::format("file list \"{}\" announces {} data files; line {} and what follows is ignored", name,
                      count, line));
      break;
    }
  }
  if (static_cast<int64_t>(paths.size()) < count)
    fail(ErrorKind::io, "file list \"{}\": {} data files announced, {} found", name, count, paths.size());
  return paths;
}

std::vector<std::string> read_file_list(const std::string& path) {
  std::vector<std::string> files = parse_file_list(read_file(path, kMaxListBytes), path);
  for (size_t i = 0; i < files.size(); ++i) {
    if (exists(files[i])) continue;
    const std::string beside = directory_of(path) + "/" + files[i];
    if (files[i].front() == '/' || !exists(beside))
      fail(ErrorKind::io, "file list \"{}\", line {}: data file \"{}\" does not exist", path, i + 2,
           files[i]);
    files[i] = beside;
  }
  return files;
}

std::string directory_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

}  // namespace ctr
