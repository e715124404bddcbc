// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "io/local_transaction.h"

namespace ctr {

inline constexpr const char* kJournalSuffix = ".journal";
inline constexpr const char* kTemporarySuffix = ".tmp";

// Empty when the file is not a complete journal. Names in it are relative to its own directory.
Renames read_journal(const std::string& path);

// Writes and fsyncs what lock_journal() opened; the file is empty, and nothing was written through `fd` yet.
void write_journal(int fd, const std::string& path, const Renames& renames);

// Repeatable after a crash at any point: a rename that already happened has no temporary any more. Files in a
// replaced directory that its new content lacks are kept.
void carry_out(const Renames& renames);

}  // namespace ctr
