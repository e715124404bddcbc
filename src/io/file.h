// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace ctr {

// Every error of this folder has kind io and names the path and the system's reason.

// A file open for reading; usable from several threads at once.
class RandomAccessFile {
 public:
  explicit RandomAccessFile(std::string path, int64_t size = 0) : path_(std::move(path)), size_(size) {}
  virtual ~RandomAccessFile() = default;
  RandomAccessFile(const RandomAccessFile&) = delete;
  RandomAccessFile& operator=(const RandomAccessFile&) = delete;

  const std::string& path() const { return path_; }
  int64_t size() const { return size_; }  // when it was opened
  // Reads `bytes` from `offset`, fewer only where the file ends. Returns the count.
  virtual size_t read_at(int64_t offset, void* to, size_t bytes) const = 0;
  // Whether this machine's system knows the file by path(): libraries that open files themselves may.
  virtual bool is_local() const { return false; }

 protected:
  std::string path_;
  int64_t size_;
};

// A new file, written front to back through a buffer. Nothing is promised before close() returns.
class OutputFile {
 public:
  OutputFile();
  virtual ~OutputFile() = default;
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  void write(const void* data, size_t bytes);
  void close();

 private:
  virtual void put(const void* data, size_t bytes) = 0;
  virtual void finish() = 0;  // makes what was put durable

  void flush();

  std::vector<std::byte> buffer_;
};
using FillFile = std::function<void(OutputFile&)>;

}  // namespace ctr
