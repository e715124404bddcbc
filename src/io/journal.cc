// SPDX-License-Identifier: Apache-2.0
#include "io/journal.h"

#include <unistd.h>

#include <filesystem>
#include <set>
#include <sstream>

#include "base/error.h"
#include "io/system_calls.h"

namespace ctr {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kHeader = "hugectr transaction 1";
constexpr std::string_view kEnd = "end";
constexpr int64_t kMaxJournalBytes = 1 << 20;

// A directory cannot be renamed over another: the old one goes aside first, under this hidden name.
std::string aside(const fs::path& path) {
  return (path.parent_path() / fmt::format(".{}.replaced", path.filename().string())).string();
}

// Ends the replacement of a directory: what else was in the old one moves into the new one.
void settle(const std::string& replaced, const std::string& path) {
  if (!is_directory(path)) return;
  std::error_code ignored;
  std::vector<fs::path> others;
  if (!fs::is_symlink(replaced, ignored))  // what a link led to stays where it is
    for (const auto& entry : fs::directory_iterator(replaced, ignored))
      if (!fs::exists(fs::symlink_status(fs::path(path) / entry.path().filename(), ignored)))
        others.push_back(entry.path());
  for (const fs::path& other : others) rename_or_fail(other, fs::path(path) / other.filename(), path);
  if (!others.empty()) sync_directory(path);
  remove_all(replaced);
}

}  // namespace

Renames read_journal(const std::string& path) {
  std::istringstream text;
  try {
    text.str(local_files()->read(path, kMaxJournalBytes));
  } catch (const Error&) {
    return {};  // not a file, too large to be ours, or removed by its owner just now
  }
  std::string line;
  if (!std::getline(text, line) || line != kHeader) return {};
  const fs::path directory = fs::path(path).parent_path();
  Renames renames;
  while (std::getline(text, line)) {
    if (line == kEnd) return renames;
    const size_t tab = line.find('\t');
    if (tab == std::string::npos) return {};
    const std::string temporary = line.substr(0, tab), target = line.substr(tab + 1);
    const bool local = target.find('/') == std::string::npos && temporary == target + kTemporarySuffix;
    if (!local) return {};
    renames.emplace_back(directory / temporary, directory / target);
  }
  return {};
}

void write_journal(int fd, const std::string& path, const Renames& renames) {
  std::string text = std::string(kHeader) + "\n";
  for (const auto& [temporary, target] : renames)
    text += fs::path(temporary).filename().string() + "\t" + fs::path(target).filename().string() + "\n";
  text += std::string(kEnd) + "\n";
  write_or_fail(fd, text.data(), text.size(), path);
  if (::fsync(fd) != 0) fail_system("write", path);
}

void carry_out(const Renames& renames) {
  for (const auto& [temporary, path] : renames) {
    const std::string replaced = aside(path);
    if (exists(temporary)) {
      settle(replaced, path);
      if (is_directory(path)) rename_or_fail(path, replaced, path);
      rename_or_fail(temporary, path, path);
    }
    settle(replaced, path);
  }
  std::set<std::string> directories;
  for (const auto& [temporary, path] : renames) directories.insert(fs::path(path).parent_path().string());
  for (const std::string& directory : directories) sync_directory(directory);
}

}  // namespace ctr
