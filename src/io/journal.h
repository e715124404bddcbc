// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "io/transaction.h"

namespace ctr {

inline constexpr const char* kJournalSuffix = ".journal";
inline constexpr const char* kTemporarySuffix = ".tmp";

// The lock that the owner of a transaction holds on its journal; the system drops it when the owner dies.
// Opens (creates, when `create`) and waits. The descriptor is -1 when there is no such file any more.
FileDescriptor lock_journal(const std::string& path, bool create);

// Empty when the file is not a complete journal. Names in it are relative to its own directory.
Renames read_journal(const std::string& path);

// Writes and fsyncs what lock_journal() opened; the file is empty, and nothing was written through `fd` yet.
void write_journal(int fd, const std::string& path, const Renames& renames);

// Repeatable after a crash at any point: a rename that already happened has no temporary any more.
void carry_out(const Renames& renames);

}  // namespace ctr
