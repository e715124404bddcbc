// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cctype>
#include <sstream>
#include <string_view>

#include "base/error.h"
#include "base/log.h"
#include "io/object_store.h"

namespace ctr {
namespace {

constexpr std::string_view kJournalSuffix = ".journal";
constexpr std::string_view kHeader = "hugectr remote transaction 1", kEnd = "end";
constexpr int64_t kMaxJournalBytes = 1 << 20;
constexpr int64_t kMaxAppended = int64_t{1} << 32;

using Store = std::shared_ptr<const ObjectStore>;

std::string directory_of(const std::string& path) { return path.substr(0, path.rfind('/')); }

void write_text(OutputFile& file, std::string_view text) { file.write(text.data(), text.size()); }

// The paths that a transaction replaces, each of which lies under its temporary name.
using Targets = std::vector<std::string>;

std::string temporary_of(const std::string& path) { return path + ".tmp"; }
std::string journal_of(const std::string& name) { return name + std::string(kJournalSuffix); }

// A line a path, relative to the journal's directory.
std::string journal_text(const Targets& targets, const std::string& directory) {
  std::string text = std::string(kHeader) + "\n";
  for (const std::string& target : targets) text += target.substr(directory.size() + 1) + "\n";
  return text + std::string(kEnd) + "\n";
}

// Nothing where the text is no complete journal or names what lies elsewhere.
Targets parse_journal(const std::string& text, const std::string& directory) {
  std::istringstream lines(text);
  std::string line;
  if (!std::getline(lines, line) || line != kHeader) return {};
  Targets targets;
  while (std::getline(lines, line)) {
    if (line == kEnd) return targets;
    if (line.empty() || line.starts_with('/') || ("/" + line + "/").find("/../") != std::string::npos)
      return {};
    targets.push_back(directory + "/" + line);
  }
  return {};
}

// Moves what is still under its temporary name; another process may be doing the same.
void carry_out(const ObjectStore& store, const Targets& targets) {
  const auto is_there = [&](const std::string& path) { return store.kind(path) == ObjectStore::Kind::file; };
  for (const std::string& target : targets) {
    const std::string temporary = temporary_of(target);
    if (!is_there(temporary)) continue;
    try {
      store.move(temporary, target);
    } catch (const Error&) {
      if (is_there(temporary)) throw;
    }
  }
}

class RemoteTransaction final : public Transaction {
 public:
  RemoteTransaction(Store store, const std::string& name)
      : store_(std::move(store)), journal_(journal_of(name)), directory_(directory_of(name)) {}
  ~RemoteTransaction() override {
    if (committed_) return;
    for (const std::string& target : targets_) remove_quietly(temporary_of(target));
  }

  void add_file(const std::string& path, const FillFile& fill) override {
    const auto file = create(path);
    fill(*file);
    file->close();
  }

  void add_directory(const std::string& path, const std::function<void(const CreateFile&)>& fill) override {
    fill([&](const std::string& name) { return create(path + "/" + name); });
  }

  void commit() override {
    const auto journal = store_->create(journal_);
    write_text(*journal, journal_text(targets_, directory_));
    journal->close();
    committed_ = true;  // from here on the journal owns the temporaries
    carry_out(*store_, targets_);
    store_->remove(journal_);
  }

 private:
  std::unique_ptr<OutputFile> create(const std::string& path) {
    require(path.starts_with(directory_ + "/"), "\"{}\" and what is saved with it must lie in \"{}\"", path,
            directory_);
    targets_.push_back(path);
    return store_->create(temporary_of(path));
  }

  void remove_quietly(const std::string& path) const {
    try {
      store_->remove(path);
    } catch (const std::exception& error) {
      log::warning("cannot remove \"{}\": {}", path, error.what());
    }
  }

  Store store_;
  std::string journal_, directory_;
  Targets targets_;
  bool committed_ = false;
};

class RemoteFiles final : public FileSystem {
 public:
  explicit RemoteFiles(Store store) : store_(std::move(store)) {}

  std::unique_ptr<RandomAccessFile> open(const std::string& path) const override {
    return store_->open(path);
  }
  bool exists(const std::string& path) const override {
    return store_->kind(path) != ObjectStore::Kind::nothing;
  }
  bool is_directory(const std::string& path) const override {
    return store_->kind(path) == ObjectStore::Kind::directory;
  }
  std::vector<std::string> list(const std::string& directory) const override {
    auto names = store_->list(directory);
    std::sort(names.begin(), names.end());
    return names;
  }

  void write(const std::string& path, const FillFile& fill) const override {
    const std::string temporary = temporary_of(path);
    const auto file = store_->create(temporary);
    fill(*file);
    file->close();
    store_->move(temporary, path);
  }

  void append(const std::string& path, std::string_view text) const override {
    std::string content = exists(path) ? read(path, kMaxAppended) : "";
    content += text;
    write(path, [&](OutputFile& file) { write_text(file, content); });
  }

  void remove_all(const std::string& path) const override { store_->remove(path); }

  std::unique_ptr<Transaction> begin(const std::string& name) const override {
    complete(journal_of(name));
    return std::make_unique<RemoteTransaction>(store_, name);
  }

  void recover(const std::string& path) const override {
    const std::string directory = directory_of(path);
    for (const std::string& name : list(directory))
      if (name.ends_with(kJournalSuffix)) complete(directory + "/" + name);
  }

 private:
  void complete(const std::string& journal) const {
    if (store_->kind(journal) != ObjectStore::Kind::file) return;
    const Targets targets = parse_journal(read(journal, kMaxJournalBytes), directory_of(journal));
    if (targets.empty()) return;  // of another kind, or still being written
    log::warning("\"{}\": completing a save that was interrupted", journal);
    carry_out(*store_, targets);
    store_->remove(journal);
  }

  Store store_;
};

class FilesByScheme final : public FileSystem {
 public:
  explicit FilesByScheme(Files remote) : remote_(std::move(remote)) {}

  std::unique_ptr<RandomAccessFile> open(const std::string& path) const override {
    return of(path).open(path);
  }
  bool exists(const std::string& path) const override { return of(path).exists(path); }
  bool is_directory(const std::string& path) const override { return of(path).is_directory(path); }
  std::vector<std::string> list(const std::string& path) const override { return of(path).list(path); }
  void write(const std::string& path, const FillFile& fill) const override { of(path).write(path, fill); }
  void append(const std::string& path, std::string_view text) const override { of(path).append(path, text); }
  void remove_all(const std::string& path) const override { of(path).remove_all(path); }
  std::unique_ptr<Transaction> begin(const std::string& name) const override { return of(name).begin(name); }
  void recover(const std::string& path) const override { of(path).recover(path); }

 private:
  const FileSystem& of(const std::string& path) const { return has_scheme(path) ? *remote_ : *local_files(); }

  static bool has_scheme(const std::string& path) {
    const size_t end = path.find("://");
    return end != std::string::npos && end > 0 &&
           std::all_of(path.begin(), path.begin() + static_cast<int64_t>(end), [](char c) {
             return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '+' || c == '-' || c == '.';
           });
  }

  Files remote_;
};

}  // namespace

Files make_remote_files(std::shared_ptr<const ObjectStore> store) {
  return std::make_shared<RemoteFiles>(std::move(store));
}

Files make_files_by_scheme(Files remote) { return std::make_shared<FilesByScheme>(std::move(remote)); }

}  // namespace ctr
