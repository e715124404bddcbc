// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "base/error.h"
#include "io/file_system.h"

namespace ctr {

// A file system whose files are strings: what shows that nobody goes past the interface.
class MemoryFiles final : public FileSystem {
 public:
  using Contents = std::map<std::string, std::string>;

  std::unique_ptr<RandomAccessFile> open(const std::string& path) const override {
    std::lock_guard lock(mutex_);
    const auto found = contents_.find(path);
    if (found == contents_.end()) fail(ErrorKind::io, "cannot open \"{}\": not in memory", path);
    return std::make_unique<In>(path, found->second);
  }
  bool exists(const std::string& path) const override {
    std::lock_guard lock(mutex_);
    return contents_.contains(path) || has_files(path + "/");
  }
  bool is_directory(const std::string& path) const override {
    std::lock_guard lock(mutex_);
    return has_files(path + "/");
  }
  std::vector<std::string> list(const std::string& directory) const override {
    std::lock_guard lock(mutex_);
    std::vector<std::string> names;
    for (const auto& [path, content] : contents_) {
      if (!path.starts_with(directory + "/")) continue;
      const std::string rest = path.substr(directory.size() + 1);
      const std::string name = rest.substr(0, rest.find('/'));
      if (names.empty() || names.back() != name) names.push_back(name);
    }
    return names;
  }
  void write(const std::string& path, const FillFile& fill) const override { put({{path, filled(fill)}}); }
  void append(const std::string& path, std::string_view text) const override {
    std::lock_guard lock(mutex_);
    contents_[path] += text;
  }
  void remove_all(const std::string& path) const override {
    std::lock_guard lock(mutex_);
    std::erase_if(contents_,
                  [&](const auto& file) { return file.first == path || file.first.starts_with(path + "/"); });
  }
  std::unique_ptr<Transaction> begin(const std::string&) const override {
    return std::make_unique<Together>(*this);
  }
  void recover(const std::string&) const override {}

  Contents contents() const {
    std::lock_guard lock(mutex_);
    return contents_;
  }

 private:
  class In final : public RandomAccessFile {
   public:
    In(const std::string& path, std::string content)
        : RandomAccessFile(path, std::ssize(content)), content_(std::move(content)) {}
    size_t read_at(int64_t offset, void* to, size_t bytes) const override {
      const size_t from = std::min(static_cast<size_t>(offset), content_.size());
      const size_t count = std::min(bytes, content_.size() - from);
      std::memcpy(to, content_.data() + from, count);
      return count;
    }

   private:
    std::string content_;
  };

  class Out final : public OutputFile {
   public:
    explicit Out(std::string& content) : content_(content) {}

   private:
    void put(const void* data, size_t bytes) override {
      content_.append(static_cast<const char*>(data), bytes);
    }
    void finish() override {}

    std::string& content_;
  };

  class Together final : public Transaction {
   public:
    explicit Together(const MemoryFiles& files) : files_(files) {}
    void add_file(const std::string& path, const FillFile& fill) override { added_[path] = filled(fill); }
    void add_directory(const std::string& path, const std::function<void(const CreateFile&)>& fill) override {
      fill([&](const std::string& name) { return std::make_unique<Out>(added_[path + "/" + name]); });
    }
    void commit() override { files_.put(added_); }

   private:
    const MemoryFiles& files_;
    Contents added_;
  };

  static std::string filled(const FillFile& fill) {
    std::string content;
    Out file(content);
    fill(file);
    file.close();
    return content;
  }
  bool has_files(const std::string& prefix) const {
    const auto at = contents_.lower_bound(prefix);
    return at != contents_.end() && at->first.starts_with(prefix);
  }
  void put(const Contents& files) const {
    std::lock_guard lock(mutex_);
    for (const auto& [path, content] : files) contents_[path] = content;
  }

  mutable std::mutex mutex_;
  mutable Contents contents_;
};

}  // namespace ctr
