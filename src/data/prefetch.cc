// SPDX-License-Identifier: Apache-2.0
#include "data/prefetch.h"

#include <condition_variable>
#include <thread>

#include "base/error.h"

namespace ctr {

class PrefetchReader::Worker {
 public:
  Worker(std::unique_ptr<BatchSource> source, int ready_batches)
      : source_(std::move(source)),
        ring_(static_cast<size_t>(ready_batches) + 1),  // one more: the batch the consumer holds
        thread_([this] { run(); }) {}

  ~Worker() {
    request_stop();
    thread_.join();
  }

  void request_stop() {
    {
      std::lock_guard lock(mutex_);
      stop_ = true;
    }
    changed_.notify_all();
  }

  // Waits; false when this worker has ended without an error.
  bool has_batch_or_error() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return produced_ > taken_ || ended_; });
    return produced_ > taken_ || error_;
  }

  // After has_batch_or_error(). The batch stays valid until give_back().
  const Batch* take() {
    std::lock_guard lock(mutex_);
    if (produced_ == taken_) std::rethrow_exception(error_);
    return &ring_[taken_++ % ring_.size()];
  }

  void give_back() {
    {
      std::lock_guard lock(mutex_);
      freed_ = taken_;
    }
    changed_.notify_all();
  }

 private:
  void run() {
    std::exception_ptr error;
    try {
      while (Batch* batch = wait_for_room()) {
        if (!source_->fill(*batch)) break;
        {
          std::lock_guard lock(mutex_);
          ++produced_;
        }
        changed_.notify_all();
      }
    } catch (...) {
      error = std::current_exception();
    }
    {
      std::lock_guard lock(mutex_);
      error_ = error;
      ended_ = true;
    }
    changed_.notify_all();
  }

  Batch* wait_for_room() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return stop_ || produced_ - freed_ < ring_.size(); });
    return stop_ ? nullptr : &ring_[produced_ % ring_.size()];
  }

  std::unique_ptr<BatchSource> source_;
  std::vector<Batch> ring_;
  std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  size_t produced_ = 0, taken_ = 0, freed_ = 0;  // batches so far; freed <= taken <= produced
  bool ended_ = false, stop_ = false;
  std::exception_ptr error_;
  std::thread thread_;  // last: it uses everything above
};

PrefetchReader::PrefetchReader(const ReaderSpec& spec, Open open)
    : task_(std::make_unique<ReadTask>(spec, make_layout(spec))), open_(open) {}

PrefetchReader::~PrefetchReader() { stop(); }

void PrefetchReader::stop() {
  lender_ = nullptr;
  for (auto& worker : workers_) worker->request_stop();
  workers_.clear();
}

void PrefetchReader::start(const std::string& source) {
  auto task = task_->again(source);
  BatchSources sources = open_(*task);  // when this fails, the current source goes on
  stop();
  task_ = std::move(task);
  turn_ = 0;
  any_batch_ = failed_ = false;
  for (auto& s : sources) workers_.push_back(std::make_unique<Worker>(std::move(s), task_->spec.prefetch));
}

size_t PrefetchReader::wait_for_turn() const {
  for (size_t i = 0; i < workers_.size(); ++i) {
    const size_t w = (turn_ + i) % workers_.size();
    if (workers_[w]->has_batch_or_error()) return w;
  }
  return workers_.size();
}

const Batch* PrefetchReader::next() {
  try {
    return take_next();
  } catch (...) {
    failed_ = true;
    throw;
  }
}

const Batch* PrefetchReader::take_next() {
  require(started(), "the reader of \"{}\" has not been started", source());
  if (lender_) lender_->give_back();
  lender_ = nullptr;
  const size_t w = wait_for_turn();
  if (w == workers_.size()) {
    if (!any_batch_ || task_->spec.repeat) fail_without_samples();
    return nullptr;
  }
  const Batch* batch = workers_[w]->take();
  lender_ = workers_[w].get();
  turn_ = (w + 1) % workers_.size();
  any_batch_ = true;
  return batch;
}

bool PrefetchReader::at_end() const {
  return started() && any_batch_ && !task_->spec.repeat && wait_for_turn() == workers_.size();
}

void PrefetchReader::fail_without_samples() const {
  const std::string problem = task_->last_problem();
  fail(ErrorKind::io, "\"{}\": no usable sample in the whole data set{}{}", source(),
       problem.empty() ? "" : "; last problem: ", problem);
}

}  // namespace ctr
