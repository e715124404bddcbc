// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace ctr {

// Every error of this folder has kind io and names the path and the system's reason.

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

// A file open for reading; usable from several threads at once.
class RandomAccessFile {
 public:
  explicit RandomAccessFile(std::string path);

  const std::string& path() const { return path_; }
  int64_t size() const { return size_; }  // when it was opened
  // Reads `bytes` from `offset`, fewer only where the file ends. Returns the count.
  size_t read_at(int64_t offset, void* to, size_t bytes) const;

 private:
  std::string path_;
  FileDescriptor fd_;
  int64_t size_ = 0;
};

// The whole file. Refuses more than `max_bytes`.
std::string read_file(const std::string& path, int64_t max_bytes);

// A new file, or a character device, written front to back through a buffer. Nothing is promised before
// close() returns.
class OutputFile {
 public:
  // `shown` is the name in error messages, `path` when empty.
  explicit OutputFile(const std::string& path, std::string shown = "");

  void write(const void* data, size_t bytes);
  void close();  // flushes, fsyncs

 private:
  void flush();

  std::string shown_;
  FileDescriptor fd_;
  std::vector<std::byte> buffer_;
};

// Adds to the end of a file, which is created where it is missing. When that fails, the file has its old
// length again.
void append_to_file(const std::string& path, std::string_view text);

// Replaces or creates `path`: `fill` writes under a temporary name in the same directory, which is fsynced
// and then renamed. Whatever goes wrong, `path` holds the old content or the new one, complete. Writers of
// one path follow each other. A link stays one; /dev/null and its like, which nothing can replace, are
// written as they are.
void write_atomically(const std::string& path, const std::function<void(OutputFile&)>& fill);

void sync_directory(const std::string& directory);  // makes names created or renamed in it durable; "" is "."

bool exists(const std::string& path);
bool is_directory(const std::string& path);
bool is_regular_file(const std::string& path);
void make_directories(const std::string& path);
void make_parents(const std::string& path);  // the directories above `path`
void remove_all(const std::string& path);    // no error when there is nothing

}  // namespace ctr
