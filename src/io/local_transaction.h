// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "io/file_system.h"
#include "io/local_file.h"

namespace ctr {

using Renames = std::vector<std::pair<std::string, std::string>>;  // temporary, final

// Each file is written and fsynced under a temporary name; commit() then records the renames in a journal,
// carries them out and removes the journal. A crash before the journal is complete leaves the old content, a
// crash after it is completed by recover_transactions(). The journal is locked while the transaction lives: a
// second one of the same name waits, and nobody recovers what is still running.
class LocalTransaction final : public Transaction {
 public:
  explicit LocalTransaction(const std::string& name);  // the journal is "<name>.journal"
  ~LocalTransaction() override;
  LocalTransaction(const LocalTransaction&) = delete;
  LocalTransaction& operator=(const LocalTransaction&) = delete;

  void add_file(const std::string& path, const FillFile& fill) override;
  void add_directory(const std::string& path, const std::function<void(const CreateFile&)>& fill) override;
  void commit() override;

 private:
  std::string stage(const std::string& path, bool directory);

  std::string journal_path_;
  FileDescriptor journal_;
  Renames renames_;
  bool journal_is_complete_ = false;
};

// Completes the interrupted transactions that replace `path`; waits for one that is just carrying out its
// renames. Call before reading a file that a transaction may have written.
void recover_transactions(const std::string& path);

}  // namespace ctr
