// SPDX-License-Identifier: Apache-2.0
#include "io/local_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "base/error.h"
#include "io/system_calls.h"

namespace ctr {

namespace fs = std::filesystem;

void fail_system(const char* verb, const std::string& path) {
  fail(ErrorKind::io, "cannot {} \"{}\": {}", verb, path, std::generic_category().message(errno));
}

FileDescriptor open_if_there(const std::string& path, int flags, const std::string& shown, const char* verb) {
  int fd;
  do fd = ::open(path.c_str(), flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0666);
  while (fd < 0 && errno == EINTR);
  FileDescriptor file(fd);
  if (fd < 0 && errno == ENOENT) return file;
  const bool no_reader_or_socket = fd < 0 && errno == ENXIO;
  if (fd < 0 && !no_reader_or_socket) fail_system(verb, shown);
  struct stat status {};
  if (fd >= 0 && ::fstat(fd, &status) != 0) fail_system("examine", shown);
  const bool device = S_ISCHR(status.st_mode) && (flags & O_ACCMODE) != O_RDONLY;
  if (!S_ISREG(status.st_mode) && !device)
    fail(ErrorKind::io, "cannot {} \"{}\": not a regular file", verb, shown);
  if (device) ::fcntl(fd, F_SETFL, flags & O_APPEND);  // writes wait again
  return file;
}

FileDescriptor open_file(const std::string& path, int flags, const std::string& shown, const char* verb) {
  FileDescriptor file = open_if_there(path, flags, shown, verb);
  if (file.get() < 0) fail_system(verb, shown);
  return file;
}

void write_or_fail(int fd, const void* data, size_t bytes, const std::string& shown) {
  const auto* next = static_cast<const std::byte*>(data);
  while (bytes > 0) {
    const ssize_t n = ::write(fd, next, bytes);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail_system("write", shown);
    next += n;
    bytes -= static_cast<size_t>(n);
  }
}

void rename_or_fail(const std::string& from, const std::string& to, const std::string& shown) {
  if (::rename(from.c_str(), to.c_str()) != 0) fail_system("replace", shown);
}

FileDescriptor::~FileDescriptor() { close(); }

bool FileDescriptor::close() {
  const int fd = fd_;
  fd_ = -1;
  return fd < 0 || ::close(fd) == 0 || errno == EINTR;
}

LocalFile::LocalFile(std::string path)
    : RandomAccessFile(std::move(path)), fd_(open_file(path_, O_RDONLY, path_, "open")) {
  struct stat status;
  if (::fstat(fd_.get(), &status) != 0) fail_system("examine", path_);
  size_ = status.st_size;
}

size_t LocalFile::read_at(int64_t offset, void* to, size_t bytes) const {
  size_t done = 0;
  while (done < bytes) {
    const ssize_t n = ::pread(fd_.get(), static_cast<std::byte*>(to) + done, bytes - done,
                              static_cast<off_t>(offset) + static_cast<off_t>(done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail_system("read", path_);
    if (n == 0) break;
    done += static_cast<size_t>(n);
  }
  return done;
}

LocalOutputFile::LocalOutputFile(const std::string& path, std::string shown)
    : shown_(shown.empty() ? path : std::move(shown)),
      fd_(open_file(path, O_WRONLY | O_CREAT | O_TRUNC, shown_, "create")) {}

void LocalOutputFile::put(const void* data, size_t bytes) { write_or_fail(fd_.get(), data, bytes, shown_); }

void LocalOutputFile::finish() {
  // Devices and pipes cannot be synced: nothing to promise there.
  if (::fsync(fd_.get()) != 0 && errno != EINVAL && errno != EROFS) fail_system("write", shown_);
  if (!fd_.close()) fail_system("write", shown_);
}

void append_to_file(const std::string& path, std::string_view text) {
  FileDescriptor fd(open_file(path, O_WRONLY | O_CREAT | O_APPEND, path, "open"));
  struct stat before;
  if (::fstat(fd.get(), &before) != 0) fail_system("examine", path);
  try {
    write_or_fail(fd.get(), text.data(), text.size(), path);
  } catch (...) {
    if (S_ISREG(before.st_mode)) static_cast<void>(::ftruncate(fd.get(), before.st_size));
    throw;
  }
  if (!fd.close()) fail_system("write", path);
}

bool exists(const std::string& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

bool is_directory(const std::string& path) {
  std::error_code ignored;
  return fs::is_directory(path, ignored);
}

bool is_regular_file(const std::string& path) {
  std::error_code ignored;
  return fs::is_regular_file(path, ignored);
}

void make_directories(const std::string& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error) fail(ErrorKind::io, "cannot create the directory \"{}\": {}", path, error.message());
}

void make_parents(const std::string& path) {
  if (const fs::path parent = fs::path(path).parent_path(); !parent.empty())
    make_directories(parent.string());
}

void remove_all(const std::string& path) {
  std::error_code error;
  fs::remove_all(path, error);
  if (error) fail(ErrorKind::io, "cannot remove \"{}\": {}", path, error.message());
}

}  // namespace ctr
