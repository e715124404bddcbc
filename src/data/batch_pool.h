// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <vector>

#include "data/batch.h"
#include "data/sample_layout.h"

namespace ctr {

// The batches of a reader, which number them in the order of delivery, and how far its workers may be ahead
// of the consumer: so many batches, and fewer where they would take more than so many bytes. The consumer
// always gets the batch it waits for, whatever the limits.
class BatchPool {
 public:
  BatchPool(const SampleLayout& layout, size_t max_ahead, int64_t max_bytes);

  // Waits until batch `number` may be filled; null after stop().
  std::unique_ptr<Batch> take(size_t number);
  // Tells the size of a batch that has been filled.
  void measure(const Batch& batch);
  void give_back(std::unique_ptr<Batch> batch);
  // The consumer has come to this number.
  void want(size_t number);
  void stop();

 private:
  size_t ahead() const;  // at least one

  const size_t max_ahead_;
  const int64_t max_bytes_;
  std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  int64_t batch_bytes_;  // the largest seen; before the first, the largest possible
  bool is_measured_ = false, stop_ = false;
  size_t wanted_ = 0;
  std::vector<std::unique_ptr<Batch>> free_;
};

}  // namespace ctr
