// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "io/file.h"

namespace ctr {

// Replaces several files and directories together: all of them or none, whatever goes wrong and whenever the
// process dies. Other files in a directory that is replaced stay in it.
class Transaction {
 public:
  using CreateFile = std::function<std::unique_ptr<OutputFile>(const std::string& name)>;

  virtual ~Transaction() = default;  // drops what was not committed
  virtual void add_file(const std::string& path, const FillFile& fill) = 0;
  // `fill` creates the directory's files, and closes them.
  virtual void add_directory(const std::string& path, const std::function<void(const CreateFile&)>& fill) = 0;
  virtual void commit() = 0;
};

// Where data and models live. Paths are as the user wrote them. Usable from several threads at once.
class FileSystem {
 public:
  virtual ~FileSystem() = default;

  virtual std::unique_ptr<RandomAccessFile> open(const std::string& path) const = 0;
  virtual bool exists(const std::string& path) const = 0;
  virtual bool is_directory(const std::string& path) const = 0;
  // Names in the directory, ascending.
  virtual std::vector<std::string> list(const std::string& directory) const = 0;

  // Replaces or creates the file: it holds the old content or the new one, complete.
  virtual void write(const std::string& path, const FillFile& fill) const = 0;
  // Adds to the end of a file, which is created where it is missing. All of the text or nothing.
  virtual void append(const std::string& path, std::string_view text) const = 0;
  virtual void remove_all(const std::string& path) const = 0;  // no error when there is nothing

  // A second transaction of the same name waits for the first.
  virtual std::unique_ptr<Transaction> begin(const std::string& name) const = 0;
  // Completes the interrupted transactions that replace `path`; waits for one that is just being completed.
  // Call before reading a file that a transaction may have written.
  virtual void recover(const std::string& path) const = 0;

  // The whole file. Refuses more than `max_bytes`.
  std::string read(const std::string& path, int64_t max_bytes) const;
};
using Files = std::shared_ptr<const FileSystem>;

// Of this machine.
const Files& local_files();

}  // namespace ctr
