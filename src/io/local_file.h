// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "io/file.h"

namespace ctr {

// Files of this machine, as its system names them. Nothing here waits for the other end of a pipe.

// Closes the descriptor it owns.
class FileDescriptor {
 public:
  explicit FileDescriptor(int fd) : fd_(fd) {}
  FileDescriptor(FileDescriptor&& other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
  FileDescriptor& operator=(FileDescriptor&&) = delete;
  ~FileDescriptor();
  int get() const { return fd_; }
  bool close();  // false when the system reports an error

 private:
  int fd_;
};

class LocalFile final : public RandomAccessFile {
 public:
  explicit LocalFile(std::string path);
  size_t read_at(int64_t offset, void* to, size_t bytes) const override;
  bool is_local() const override { return true; }

 private:
  FileDescriptor fd_;
};

// A new file, or a character device.
class LocalOutputFile final : public OutputFile {
 public:
  // `shown` is the name in error messages, `path` when empty.
  explicit LocalOutputFile(const std::string& path, std::string shown = "");

 private:
  void put(const void* data, size_t bytes) override;
  void finish() override;

  std::string shown_;
  FileDescriptor fd_;
};

// Adds to the end of a file, which is created where it is missing. When that fails, the file has its old
// length again.
void append_to_file(const std::string& path, std::string_view text);

// Replaces or creates `path`: `fill` writes under a temporary name in the same directory, which is fsynced
// and then renamed. Whatever goes wrong, `path` holds the old content or the new one, complete. Writers of
// one path follow each other. A link stays one; /dev/null and its like, which nothing can replace, are
// written as they are.
void write_atomically(const std::string& path, const FillFile& fill);

void sync_directory(const std::string& directory);  // makes names created or renamed in it durable; "" is "."

bool exists(const std::string& path);
bool is_directory(const std::string& path);
bool is_regular_file(const std::string& path);
void make_directories(const std::string& path);
void make_parents(const std::string& path);  // the directories above `path`
void remove_all(const std::string& path);    // no error when there is nothing

}  // namespace ctr
