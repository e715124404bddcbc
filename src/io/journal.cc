// SPDX-License-Identifier: Apache-2.0
#include "io/journal.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <sstream>

#include "base/error.h"
#include "io/system_calls.h"

namespace ctr {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kHeader = "hugectr transaction 1";
constexpr std::string_view kEnd = "end";
constexpr int64_t kMaxJournalBytes = 1 << 20;

bool is_still_there(const FileDescriptor& fd, const std::string& path) {
  struct stat opened, named;
  return ::fstat(fd.get(), &opened) == 0 && ::stat(path.c_str(), &named) == 0 &&
         opened.st_dev == named.st_dev && opened.st_ino == named.st_ino;
}

// A directory cannot be renamed over another: the old one goes aside first, under this hidden name.
std::string aside(const fs::path& path) {
  return (path.parent_path() / fmt::format(".{}.replaced", path.filename().string())).string();
}

}  // namespace

FileDescriptor lock_journal(const std::string& path, bool create) {
  for (;;) {
    const int flags = create ? O_RDWR | O_CREAT : O_RDONLY;
    FileDescriptor fd(::open(path.c_str(), flags | O_CLOEXEC, 0666));
    if (fd.get() < 0 && errno == EINTR) continue;
    if (fd.get() < 0 && errno == ENOENT && !create) return fd;
    if (fd.get() < 0) fail_system(create ? "create" : "open", path);
    if (::flock(fd.get(), LOCK_EX) != 0) {
      if (errno == EINTR) continue;
      fail_system("lock", path);
    }
    if (is_still_there(fd, path)) return fd;
    if (!create) return FileDescriptor(-1);  // its owner finished and removed it
  }
}

Renames read_journal(const std::string& path) {
  std::istringstream text;
  try {
    text.str(read_file(path, kMaxJournalBytes));
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
      if (is_directory(path)) {
        remove_all(replaced);
        rename_or_fail(path, replaced, path);
      }
      rename_or_fail(temporary, path, path);
    }
    if (is_directory(path)) remove_all(replaced);
  }
  for (const auto& [temporary, path] : renames) sync_directory(fs::path(path).parent_path().string());
}

}  // namespace ctr
