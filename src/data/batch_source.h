// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "data/batch_writer.h"

namespace ctr {

// What all workers of one reader share.
struct ReadTask {
  ReadTask(ReaderSpec s, SampleLayout l) : spec(std::move(s)), layout(std::move(l)) {}
  // The task of the next start; an empty source keeps the current one.
  std::shared_ptr<ReadTask> again(const std::string& source) const;

  ReaderSpec spec;
  SampleLayout layout;
  int64_t starts = 0;               // how often the reader was started
  std::atomic<int64_t> skipped{0};  // samples

  // Logs a problem that reading survives, once for each text, and remembers it for the error when nothing is
  // left.
  void warn(const std::string& problem);
  std::string last_problem() const;

 private:
  mutable std::mutex mutex_;
  std::set<std::string> warned_;
  std::string problem_;
};

// Builds the batches of one worker in order.
class BatchSource {
 public:
  virtual ~BatchSource() = default;
  // False when there is no further sample; the batch is then void.
  virtual bool fill(Batch& batch) = 0;
};
using BatchSources = std::vector<std::unique_ptr<BatchSource>>;

// One open data file.
class SampleFile {
 public:
  virtual ~SampleFile() = default;
  // Appends samples until the batch is full or the file has ended; false in the latter case.
  virtual bool read(BatchWriter& batch) = 0;
};

// The files of worker w of W: w, w + W, ... of n, modulo n when repeating.
class FileSequence {
 public:
  FileSequence(size_t worker, size_t workers, size_t files, bool repeat);
  // Null at the end; when repeating, once a whole pass has not brought a single sample.
  std::optional<size_t> next();
  void found_samples() { barren_ = 0; }

 private:
  size_t next_, step_, files_, pass_;
  bool repeat_;
  size_t barren_ = 0;  // files opened since the last sample
};

// Null when the file cannot be used and that was reported to the task.
using OpenSampleFile = std::function<std::unique_ptr<SampleFile>(const std::string& path)>;

// One source a worker over the files of a list. `task` outlives them.
BatchSources make_file_sources(ReadTask& task, std::vector<std::string> files, OpenSampleFile open);

// num_workers, or fewer when there are not that many parts to share out.
size_t worker_count(const ReadTask& task, int64_t parts, const char* what);

// Open the source and check what can be checked before reading.
BatchSources open_norm(ReadTask& task);
BatchSources open_raw(ReadTask& task);
BatchSources open_parquet(ReadTask& task);

}  // namespace ctr
