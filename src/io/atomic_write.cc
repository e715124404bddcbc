// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "base/error.h"
#include "io/fail_system.h"
#include "io/file.h"

namespace ctr {
namespace {

namespace fs = std::filesystem;

// "a/b/" and "a/b" are the same target.
fs::path without_trailing_slash(const std::string& path) {
  const fs::path p(path);
  return p.has_filename() ? p : p.parent_path();
}

// A hidden sibling, so that a rename never crosses file systems. Its name is fixed: the next write of the
// same target finds and removes what a crash left.
std::string sibling(const fs::path& target, const char* suffix) {
  return (target.parent_path() / fmt::format(".{}{}", target.filename().string(), suffix)).string();
}

void rename_or_fail(const std::string& from, const std::string& to, const std::string& shown) {
  if (::rename(from.c_str(), to.c_str()) != 0) fail_system("replace", shown);
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

void swap_in(const std::string& temporary, const fs::path& target, const std::string& shown) {
  const std::string to = target.string();
  if (!exists(to)) return rename_or_fail(temporary, to, shown);
  if (::renameat2(AT_FDCWD, temporary.c_str(), AT_FDCWD, to.c_str(), RENAME_EXCHANGE) == 0) return;
  if (errno != EINVAL && errno != ENOSYS) fail_system("replace", shown);
  const std::string old = sibling(target, ".old");
  rename_or_fail(to, old, shown);
  if (::rename(temporary.c_str(), to.c_str()) == 0) return;
  const int reason = errno;
  ::rename(old.c_str(), to.c_str());
  errno = reason;
  fail_system("replace", shown);
}

}  // namespace

void sync_directory(const std::string& directory) {
  const std::string path = directory.empty() ? "." : directory;
  FileDescriptor fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (fd.get() < 0) fail_system("open the directory", path);
  // Some network file systems cannot sync a directory.
  if (::fsync(fd.get()) != 0 && errno != EINVAL) fail_system("write the directory", path);
}

void write_atomically(const std::string& path, const std::function<void(OutputFile&)>& fill) {
  const fs::path target(path);
  const std::string temporary = sibling(target, ".tmp");
  or_remove(temporary, [&] {
    OutputFile file(temporary, path);
    fill(file);
    file.close();
    rename_or_fail(temporary, path, path);
  });
  sync_directory(target.parent_path().string());
}

void write_directory_atomically(const std::string& path,
                                const std::function<void(const std::string& directory)>& fill) {
  const fs::path target = without_trailing_slash(path);
  if (exists(target.string()) && !is_directory(target.string()))
    fail(ErrorKind::io, "cannot write the directory \"{}\": a file of that name exists", path);
  recover_directory(path);
  const std::string temporary = sibling(target, ".tmp"), old = sibling(target, ".old");
  remove_all(temporary);
  remove_all(old);
  or_remove(temporary, [&] {
    if (::mkdir(temporary.c_str(), 0777) != 0) fail_system("create", path);
    fill(temporary);
    sync_directory(temporary);
    swap_in(temporary, target, path);
  });
  sync_directory(target.parent_path().string());
  remove_all(temporary);  // the old content after an exchange
  remove_all(old);
}

void recover_directory(const std::string& path) {
  const fs::path target = without_trailing_slash(path);
  const std::string old = sibling(target, ".old");
  if (exists(old) && !exists(target.string())) rename_or_fail(old, target.string(), path);
}

}  // namespace ctr
