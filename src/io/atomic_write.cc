// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "base/error.h"
#include "io/local_file.h"
#include "io/lock.h"
#include "io/system_calls.h"

namespace ctr {
namespace {

namespace fs = std::filesystem;

// A hidden sibling, so that a rename never crosses file systems. Its name is fixed: the next write of the
// same target finds and removes what a crash left.
std::string sibling(const fs::path& target, const char* suffix) {
  return (target.parent_path() / fmt::format(".{}{}", target.filename().string(), suffix)).string();
}

// What symbolic links lead to; it may not exist yet.
fs::path behind_links(fs::path path) {
  constexpr int kMaxLinks = 40;
  std::error_code ignored;
  for (int i = 0; i < kMaxLinks && fs::is_symlink(path, ignored); ++i)
    path = path.parent_path() / fs::read_symlink(path, ignored);
  return path;
}

// Runs `work`; when it throws, removes `temporary` first.
template <class Work>
void or_remove(const std::string& temporary, const Work& work) {
  try {
    work();
  } catch (...) {
    std::error_code ignored;
    fs::remove_all(temporary, ignored);
    throw;
  }
}

}  // namespace

void sync_directory(const std::string& directory) {
  const std::string path = directory.empty() ? "." : directory;
  FileDescriptor fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (fd.get() < 0) fail_system("open the directory", path);
  // Some network file systems cannot sync a directory.
  if (::fsync(fd.get()) != 0 && errno != EINVAL) fail_system("write the directory", path);
}

void write_atomically(const std::string& path, const FillFile& fill) {
  std::error_code ignored;
  const fs::file_status status = fs::status(path, ignored);
  if (fs::is_character_file(status)) {
    LocalOutputFile device(path);
    fill(device);
    return device.close();
  }
  if (fs::exists(status) && !fs::is_regular_file(status))
    fail(ErrorKind::io, "cannot write \"{}\": not a regular file", path);
  const fs::path target = behind_links(path);
  const std::string temporary = sibling(target, ".tmp");
  const FileDescriptor lock = lock_file(temporary, true, path);
  or_remove(temporary, [&] {
    LocalOutputFile file(temporary, path);
    fill(file);
    file.close();
    rename_or_fail(temporary, target, path);
  });
  sync_directory(target.parent_path().string());
}

}  // namespace ctr
