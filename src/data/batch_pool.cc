// SPDX-License-Identifier: Apache-2.0
#include "data/batch_pool.h"

#include <algorithm>
#include <utility>

namespace ctr {
namespace {

int64_t largest_batch(const SampleLayout& layout) {
  const auto floats = static_cast<double>(layout.label_dim + layout.dense_dim);
  const auto integers = static_cast<double>(layout.total_slots()) + static_cast<double>(layout.max_keys());
  const double bytes = static_cast<double>(layout.batch_size) * (4 * floats + 8 * integers);
  return static_cast<int64_t>(std::min(bytes, 0x1p62));
}

int64_t bytes_of(const Batch& batch) {
  size_t bytes = 4 * (batch.labels.capacity() + batch.dense.capacity());
  for (const CsrKeys& csr : batch.sparse) bytes += 8 * (csr.offsets.capacity() + csr.keys.capacity());
  return static_cast<int64_t>(bytes);
}

}  // namespace

BatchPool::BatchPool(const SampleLayout& layout, size_t max_ahead, int64_t max_bytes)
    : max_ahead_(max_ahead), max_bytes_(max_bytes), batch_bytes_(largest_batch(layout)) {}

// One more batch is the consumer's.
size_t BatchPool::ahead() const {
  const int64_t fit = max_bytes_ / std::max<int64_t>(batch_bytes_, 1) - 1;
  return std::clamp<size_t>(static_cast<size_t>(std::max<int64_t>(fit, 0)), 1,
                            std::max<size_t>(max_ahead_, 1));
}

std::unique_ptr<Batch> BatchPool::take(size_t number) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return stop_ || number < wanted_ + ahead(); });
  if (stop_) return nullptr;
  if (free_.empty()) return std::make_unique<Batch>();
  auto batch = std::move(free_.back());
  free_.pop_back();
  return batch;
}

void BatchPool::measure(const Batch& batch) {
  const int64_t bytes = bytes_of(batch);
  {
    std::lock_guard lock(mutex_);
    batch_bytes_ = std::exchange(is_measured_, true) ? std::max(batch_bytes_, bytes) : bytes;
  }
  changed_.notify_all();
}

void BatchPool::give_back(std::unique_ptr<Batch> batch) {
  std::lock_guard lock(mutex_);
  free_.push_back(std::move(batch));
}

void BatchPool::want(size_t number) {
  {
    std::lock_guard lock(mutex_);
    wanted_ = std::max(wanted_, number);
  }
  changed_.notify_all();
}

void BatchPool::stop() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
}

}  // namespace ctr
