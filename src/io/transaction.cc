// SPDX-License-Identifier: Apache-2.0
#include "io/transaction.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <sstream>

#include "base/error.h"
#include "base/log.h"
#include "io/fail_system.h"

namespace ctr {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kHeader = "hugectr transaction 1";
constexpr std::string_view kEnd = "end";
constexpr const char* kJournalSuffix = ".journal";
constexpr const char* kTemporarySuffix = ".tmp";
constexpr int64_t kMaxJournalBytes = 1 << 20;

using Renames = std::vector<std::pair<std::string, std::string>>;

// Repeatable: a rename that already happened has no temporary any more.
void carry_out(const Renames& renames) {
  for (const auto& [temporary, path] : renames) {
    if (!exists(temporary)) continue;
    if (is_directory(path) || is_directory(temporary)) remove_all(path);
    if (std::rename(temporary.c_str(), path.c_str()) != 0) fail_system("rename a new version to", path);
  }
  for (const auto& [temporary, path] : renames) sync_directory(fs::path(path).parent_path().string());
}

// Empty when the file is not a complete journal: names in it are relative to its own directory.
Renames read_journal(const std::string& journal) {
  std::istringstream text(read_file(journal, kMaxJournalBytes));
  std::string line, last;
  if (!std::getline(text, line) || line != kHeader) return {};
  const fs::path directory = fs::path(journal).parent_path();
  Renames renames;
  while (std::getline(text, line)) {
    last = line;
    const size_t tab = line.find('\t');
    if (tab == std::string::npos) continue;
    const std::string temporary = line.substr(0, tab), path = line.substr(tab + 1);
    const bool local = temporary.find('/') == std::string::npos && path.find('/') == std::string::npos &&
                       temporary == path + kTemporarySuffix;
    if (!local) return {};
    renames.emplace_back(directory / temporary, directory / path);
  }
  return last == kEnd ? renames : Renames{};
}

}  // namespace

Transaction::~Transaction() {
  for (const auto& [temporary, path] : renames_) {
    std::error_code ignored;
    fs::remove_all(temporary, ignored);
  }
}

std::string Transaction::stage(const std::string& path, bool directory) {
  if (exists(path) && is_directory(path) != directory)
    fail(ErrorKind::io, "cannot write \"{}\": a {} of that name exists", path,
         directory ? "file" : "directory");
  make_parents(path);
  const std::string temporary = path + kTemporarySuffix;
  remove_all(temporary);
  renames_.emplace_back(temporary, path);
  return temporary;
}

void Transaction::add_file(const std::string& path, const std::function<void(OutputFile&)>& fill) {
  OutputFile file(stage(path, false), path);
  fill(file);
  file.close();
}

void Transaction::add_directory(const std::string& path,
                                const std::function<void(const std::string&)>& fill) {
  const std::string temporary = stage(path, true);
  make_directories(temporary);
  fill(temporary);
  sync_directory(temporary);
}

void Transaction::commit() {
  for (const auto& [temporary, path] : renames_) sync_directory(fs::path(path).parent_path().string());
  write_atomically(journal_path_ + kJournalSuffix, [&](OutputFile& file) {
    std::string text = std::string(kHeader) + "\n";
    for (const auto& [temporary, path] : renames_)
      text += fs::path(temporary).filename().string() + "\t" + fs::path(path).filename().string() + "\n";
    text += std::string(kEnd) + "\n";
    file.write(text.data(), text.size());
  });
  const Renames renames = std::exchange(renames_, {});  // from here on the journal owns the temporaries
  carry_out(renames);
  remove_all(journal_path_ + kJournalSuffix);
}

void recover_transactions(const std::string& path) {
  const fs::path parent = fs::path(path).parent_path();
  const fs::path directory = parent.empty() ? fs::path(".") : parent;
  std::error_code ignored;
  std::vector<std::string> journals;
  for (const auto& entry : fs::directory_iterator(directory, ignored))
    if (entry.path().extension() == kJournalSuffix) journals.push_back(entry.path());
  std::sort(journals.begin(), journals.end());
  for (const auto& journal : journals) {
    const Renames renames = read_journal(journal);
    if (renames.empty()) continue;
    log::warning("\"{}\": completing a save that was interrupted", journal);
    carry_out(renames);
    remove_all(journal);
  }
}

}  // namespace ctr
