// SPDX-License-Identifier: Apache-2.0
#include "io/local_transaction.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "base/error.h"
#include "base/log.h"
#include "io/journal.h"
#include "io/lock.h"
#include "io/system_calls.h"

namespace ctr {
namespace {

namespace fs = std::filesystem;

// The lock of a new transaction, after what an interrupted one of the same name left is completed.
FileDescriptor start(const std::string& journal) {
  make_parents(journal);
  FileDescriptor fd = lock_file(journal, true, journal);
  carry_out(read_journal(journal));
  if (::ftruncate(fd.get(), 0) != 0) fail_system("write", journal);
  return fd;
}

void recover(const std::string& journal) {
  const FileDescriptor lock = lock_file(journal, false, journal);
  if (lock.get() < 0) return;
  const Renames renames = read_journal(journal);  // again: another owner may have begun meanwhile
  if (renames.empty()) return;
  log::warning("\"{}\": completing a save that was interrupted", journal);
  carry_out(renames);
  std::error_code error;
  if (!fs::remove(journal, error) && error)
    log::warning("cannot remove \"{}\": {}", journal, error.message());
}

}  // namespace

LocalTransaction::LocalTransaction(const std::string& name)
    : journal_path_(name + kJournalSuffix), journal_(start(journal_path_)) {}

LocalTransaction::~LocalTransaction() {
  if (journal_is_complete_) return;
  std::error_code ignored;
  for (const auto& [temporary, path] : renames_) fs::remove_all(temporary, ignored);
  fs::remove(journal_path_, ignored);
}

std::string LocalTransaction::stage(const std::string& path, bool directory) {
  if (exists(path) && is_directory(path) != directory)
    fail(ErrorKind::io, "cannot write \"{}\": a {} of that name exists", path,
         directory ? "file" : "directory");
  if (exists(path) && !directory && !is_regular_file(path))
    fail(ErrorKind::io, "cannot write \"{}\": not a regular file", path);
  const std::string temporary = path + kTemporarySuffix;
  remove_all(temporary);
  renames_.emplace_back(temporary, path);
  return temporary;
}

void LocalTransaction::add_file(const std::string& path, const FillFile& fill) {
  LocalOutputFile file(stage(path, false), path);
  fill(file);
  file.close();
}

void LocalTransaction::add_directory(const std::string& path,
                                     const std::function<void(const CreateFile&)>& fill) {
  const std::string temporary = stage(path, true);
  make_directories(temporary);
  fill([&](const std::string& name) {
    return std::make_unique<LocalOutputFile>(temporary + "/" + name, path + "/" + name);
  });
  sync_directory(temporary);
}

void LocalTransaction::commit() {
  sync_directory(fs::path(journal_path_).parent_path().string());
  write_journal(journal_.get(), journal_path_, renames_);
  journal_is_complete_ = true;  // from here on the journal owns the temporaries
  carry_out(renames_);
  remove_all(journal_path_);
}

void recover_transactions(const std::string& path) {
  fs::path target = fs::path(path).lexically_normal();
  if (target.filename().empty()) target = target.parent_path();  // "folder/"
  const fs::path directory = target.has_parent_path() ? target.parent_path() : fs::path(".");
  std::error_code ignored;
  std::vector<std::string> journals;
  for (const auto& entry : fs::directory_iterator(directory, ignored)) {
    if (entry.path().extension() != kJournalSuffix) continue;
    const Renames renames = read_journal(entry.path());
    const bool names_it = std::any_of(renames.begin(), renames.end(), [&](const auto& rename) {
      return fs::path(rename.second).filename() == target.filename();
    });
    if (names_it) journals.push_back(entry.path());
  }
  for (const std::string& journal : journals) recover(journal);
}

}  // namespace ctr
