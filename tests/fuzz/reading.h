// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fuzzer/FuzzedDataProvider.h>

#include <string>

#include "data/batch_source.h"

namespace ctr::fuzz {

// A file in memory that has a path.
class MemoryFile {
 public:
  explicit MemoryFile(const std::string& content);
  ~MemoryFile();
  std::string path() const;

 private:
  int fd_;
};

// Silences the log and returns a task for `spec`; throws what a reader's construction would.
ReadTask make_task(const ReaderSpec& spec);

// Reads at most 64 batches and aborts when one of them breaks the batch's promises.
void drain(BatchSource& source, const SampleLayout& layout);

// One or two sparse inputs with few keys.
std::vector<SparseInputSpec> sparse_inputs(FuzzedDataProvider& data, int64_t max_nnz);

}  // namespace ctr::fuzz
