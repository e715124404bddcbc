// SPDX-License-Identifier: Apache-2.0
#include "data/file_list.h"

#include <algorithm>
#include <charconv>

#include "base/error.h"
#include "base/log.h"

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
         printable(line.substr(0, 80)));
  return count;
}

// The longest end of `file` that is the path of a file in `folder`; empty when there is none.
std::string find_beside(const FileSystem& files, const std::string& folder, const std::string& file) {
  size_t start = 0;
  while (start < file.size()) {
    if (std::string found = folder + "/" + file.substr(start); files.exists(found)) return found;
    const size_t slash = file.find('/', start);
    start = slash == std::string::npos ? slash : slash + 1;
  }
  return {};
}

// Bytes of the UTF-8 character that the text begins with; 0 for a control character and for anything else.
size_t character_bytes(std::string_view text) {
  const auto byte = [&](size_t i) { return i < text.size() ? static_cast<uint8_t>(text[i]) : uint8_t{0}; };
  const uint8_t first = byte(0), second = byte(1);
  if (first < 0x80) return first >= 0x20 && first != 0x7f ? 1 : 0;
  const size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  const bool too_small = (first == 0xc2 && second < 0xa0) || (first == 0xe0 && second < 0xa0) ||
                         (first == 0xf0 && second < 0x90);
  const bool too_large = (first == 0xed && second > 0x9f) || (first == 0xf4 && second > 0x8f);
  if (first < 0xc2 || first > 0xf4 || too_small || too_large) return 0;
  for (size_t i = 1; i < length; ++i)
    if ((byte(i) & 0xc0) != 0x80) return 0;
  return length;
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

std::vector<std::string> read_file_list(const FileSystem& files, const std::string& path) {
  files.recover(path);
  std::vector<std::string> paths = parse_file_list(files.read(path, kMaxListBytes), path);
  for (size_t i = 0; i < paths.size(); ++i) {
    if (files.exists(paths[i])) continue;
    const std::string beside = find_beside(files, directory_of(path), paths[i]);
    if (beside.empty())
      fail(ErrorKind::io, "file list \"{}\", line {}: data file \"{}\" does not exist", path, i + 2,
           printable(paths[i]));
    if (!beside.ends_with("/" + paths[i]))
      log::warn_once(
          fmt::format("file list \"{}\" names files that do not exist, such as \"{}\"; \"{}\" and "
                      "others beside the list are read instead",
                      path, printable(paths[i]), printable(beside)));
    paths[i] = beside;
  }
  return paths;
}

std::string printable(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const size_t length = character_bytes(text);
    if (length == 0) out += fmt::format("\\x{:02x}", static_cast<uint8_t>(text.front()));
    out += text.substr(0, length);
    text.remove_prefix(std::max<size_t>(length, 1));
  }
  return out;
}

std::string directory_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

}  // namespace ctr
