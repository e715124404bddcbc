// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "data/batch_source.h"

namespace ctr {

// A thread for each source fills a ring of recycled batches; the consumer takes them in strict rotation, so
// what it sees never depends on timing. A thread that hangs in a stalled source is left behind, not waited
// for.
class PrefetchReader final : public Reader {
 public:
  using Open = BatchSources (*)(ReadTask&);

  PrefetchReader(const ReaderSpec& spec, Open open);
  ~PrefetchReader() override;

  std::function<void()> open(const std::string& source) override;
  void stop() override;
  bool started() const override { return !workers_.empty(); }
  bool failed() const override { return failed_; }
  const Batch* next() override;
  bool at_start() const override { return started() && !any_batch_ && !failed_; }
  bool at_end() const override;
  const std::string& source() const override { return task_->spec.source; }
  int64_t skipped() const override { return task_->skipped; }

 private:
  class Worker;
  using Workers = std::vector<std::unique_ptr<Worker>>;

  void begin(std::shared_ptr<ReadTask> task, BatchSources sources);
  static Workers start_workers(const std::shared_ptr<ReadTask>& task, BatchSources sources);
  // What worker `worker`, wait_for_turn()'s, has to give.
  const Batch* take_from(size_t worker);
  // The next worker in rotation that has a batch or an error; workers_.size() when all have ended.
  size_t wait_for_turn() const;
  [[noreturn]] void fail_without_samples() const;

  std::shared_ptr<ReadTask> task_;  // of the sources at work
  Open open_;
  Workers workers_;
  size_t turn_ = 0;           // worker to ask next
  Worker* lender_ = nullptr;  // owner of the batch the consumer holds
  bool any_batch_ = false;    // delivered since start
  bool failed_ = false;       // since start
};

}  // namespace ctr
