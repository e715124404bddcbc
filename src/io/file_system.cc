// SPDX-License-Identifier: Apache-2.0
#include "io/file_system.h"

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "base/error.h"
#include "io/local_file.h"
#include "io/local_transaction.h"

namespace ctr {
namespace {

class LocalFileSystem final : public FileSystem {
 public:
  std::unique_ptr<RandomAccessFile> open(const std::string& path) const override {
    return std::make_unique<LocalFile>(path);
  }
  bool exists(const std::string& path) const override { return ctr::exists(path); }
  bool is_directory(const std::string& path) const override { return ctr::is_directory(path); }
  std::vector<std::string> list(const std::string& directory) const override;
  void write(const std::string& path, const FillFile& fill) const override { write_atomically(path, fill); }
  void append(const std::string& path, std::string_view text) const override { append_to_file(path, text); }
  void remove_all(const std::string& path) const override { ctr::remove_all(path); }
  std::unique_ptr<Transaction> begin(const std::string& name) const override {
    return std::make_unique<LocalTransaction>(name);
  }
  void recover(const std::string& path) const override { recover_transactions(path); }
};

std::vector<std::string> LocalFileSystem::list(const std::string& directory) const {
  std::error_code error;
  std::vector<std::string> names;
  for (std::filesystem::directory_iterator it(directory, error), end; !error && it != end;
       it.increment(error))
    names.push_back(it->path().filename());
  if (error) fail(ErrorKind::io, "cannot list \"{}\": {}", directory, error.message());
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace

std::string FileSystem::read(const std::string& path, int64_t max_bytes) const {
  const auto file = open(path);
  if (file->size() > max_bytes)
    fail(ErrorKind::io, "\"{}\" has {} bytes; at most {} are accepted", path, file->size(), max_bytes);
  std::string text(static_cast<size_t>(file->size()), '\0');
  text.resize(file->read_at(0, text.data(), text.size()));
  return text;
}

const Files& local_files() {
  static const Files files = std::make_shared<LocalFileSystem>();
  return files;
}

}  // namespace ctr
