// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "io/file.h"

namespace ctr {

// Replaces several files and directories together: all of them or none. Each is written and fsynced under a
// temporary name; commit() then records the renames in a journal, carries them out and removes the journal. A
// crash before the journal exists leaves the old content, a crash after it is completed by
// recover_transactions().
class Transaction {
 public:
  explicit Transaction(std::string journal_path) : journal_path_(std::move(journal_path)) {}
  ~Transaction();  // drops what was not committed
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;

  void add_file(const std::string& path, const std::function<void(OutputFile&)>& fill);
  void add_directory(const std::string& path, const std::function<void(const std::string& directory)>& fill);
  void commit();

 private:
  std::string stage(const std::string& path, bool directory);

  std::string journal_path_;
  std::vector<std::pair<std::string, std::string>> renames_;  // temporary, final
};

// Completes the transactions whose journals lie beside `path`. Call before reading a file that one may have
// written.
void recover_transactions(const std::string& path);

}  // namespace ctr
