// SPDX-License-Identifier: Apache-2.0
#include "data/prefetch.h"

#include <chrono>
#include <condition_variable>
#include <deque>
#include <system_error>
#include <thread>
#include <utility>

#include "base/error.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "data/batch_pool.h"

namespace ctr {
namespace {

constexpr std::chrono::seconds kStopPatience{1};

// A worker's batches between its source and the consumer. The thread that fills the queue owns it too, with
// the task, the source and the pool: a thread that is left behind keeps all it uses.
class BatchQueue {
 public:
  // Worker `first` of `step`: its batches are number first, first + step, ... of the reader's.
  BatchQueue(std::shared_ptr<ReadTask> task, std::unique_ptr<BatchSource> source,
             std::shared_ptr<BatchPool> pool, size_t first, size_t step)
      : task_(std::move(task)),
        source_(std::move(source)),
        pool_(std::move(pool)),
        next_number_(first),
        step_(step),
        next_taken_(first) {}

  void request_stop() {
    pool_->stop();
    std::lock_guard lock(mutex_);
    if (std::exchange(stop_, true)) return;
    patience_ends_ = std::chrono::steady_clock::now() + kStopPatience;
  }

  // After request_stop(). False when the source does not return.
  bool wait_for_end() {
    std::unique_lock lock(mutex_);
    return changed_.wait_until(lock, patience_ends_, [&] { return ended_; });
  }

  // Waits; false when this worker has ended without an error.
  bool has_batch_or_error() {
    std::unique_lock lock(mutex_);
    pool_->want(next_taken_);
    wait_interruptibly(changed_, lock, [&] { return !ready_.empty() || ended_; });
    return !ready_.empty() || error_;
  }

  // After has_batch_or_error(). The batch stays valid until give_back().
  const Batch* take() {
    std::lock_guard lock(mutex_);
    if (ready_.empty()) std::rethrow_exception(error_);
    lent_ = std::move(ready_.front());
    ready_.pop_front();
    next_taken_ += step_;
    return lent_.get();
  }

  void give_back() { pool_->give_back(std::move(lent_)); }

  void run() {
    std::exception_ptr error;
    try {
      for (; auto batch = pool_->take(next_number_); next_number_ += step_) {
        if (!source_->fill(*batch)) break;
        pool_->measure(*batch);
        {
          std::lock_guard lock(mutex_);
          ready_.push_back(std::move(batch));
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

 private:
  std::shared_ptr<ReadTask> task_;
  std::unique_ptr<BatchSource> source_;  // refers to the task
  std::shared_ptr<BatchPool> pool_;
  size_t next_number_, step_;    // run()'s
  std::unique_ptr<Batch> lent_;  // the consumer's
  std::mutex mutex_;             // guards what follows
  std::condition_variable changed_;
  size_t next_taken_;
  std::deque<std::unique_ptr<Batch>> ready_;
  bool ended_ = false, stop_ = false;
  std::chrono::steady_clock::time_point patience_ends_;
  std::exception_ptr error_;
};

}  // namespace

class PrefetchReader::Worker {
 public:
  Worker(const std::string& name, std::shared_ptr<BatchQueue> queue)
      : name_(name), queue_(std::move(queue)), thread_([queue = queue_] { queue->run(); }) {}

  ~Worker() {
    queue_->request_stop();
    if (queue_->wait_for_end()) {
      thread_.join();
    } else {
      log::warning("\"{}\" does not respond: a thread that reads from it is left behind", name_);
      thread_.detach();
    }
  }

  BatchQueue& queue() { return *queue_; }

 private:
  std::string name_;
  std::shared_ptr<BatchQueue> queue_;
  std::thread thread_;  // last: once it runs, nothing else may fail
};

PrefetchReader::PrefetchReader(const ReaderSpec& spec, Open open)
    : task_(std::make_shared<ReadTask>(spec, make_layout(spec))), open_(open) {}

PrefetchReader::~PrefetchReader() { stop(); }

void PrefetchReader::stop() {
  lender_ = nullptr;
  for (auto& worker : workers_) worker->queue().request_stop();
  workers_.clear();
}

std::function<void()> PrefetchReader::open(const std::string& source) {
  auto task = task_->again(source);
  const auto sources = std::make_shared<BatchSources>(open_(*task));  // that a function can be copied with
  return [this, task = std::move(task), sources] { begin(task, std::move(*sources)); };
}

void PrefetchReader::begin(std::shared_ptr<ReadTask> task, BatchSources sources) {
  stop();
  task_ = std::move(task);
  turn_ = 0;
  any_batch_ = failed_ = false;
  workers_ = start_workers(task_, std::move(sources));
}

// All or none.
PrefetchReader::Workers PrefetchReader::start_workers(const std::shared_ptr<ReadTask>& task,
                                                      BatchSources sources) {
  const auto pool = std::make_shared<BatchPool>(
      task->layout, sources.size() * static_cast<size_t>(task->spec.prefetch), task->spec.prefetch_bytes);
  Workers workers;
  try {
    for (auto& source : sources)
      workers.push_back(std::make_unique<Worker>(
          task->spec.source,
          std::make_shared<BatchQueue>(task, std::move(source), pool, workers.size(), sources.size())));
  } catch (const std::system_error&) {
    fail(ErrorKind::out_of_memory,
         "\"{}\": cannot start reader thread {} of {}: the limit on threads is reached (ulimit -u, or the "
         "pids or memory limit of a container){}",
         task->spec.source, workers.size() + 1, sources.size(),
         sources.size() > 1 ? "; set a smaller num_workers in DataReaderParams" : "");
  }
  return workers;
}

size_t PrefetchReader::wait_for_turn() const {
  for (size_t i = 0; i < workers_.size(); ++i) {
    const size_t w = (turn_ + i) % workers_.size();
    if (workers_[w]->queue().has_batch_or_error()) return w;
  }
  return workers_.size();
}

const Batch* PrefetchReader::next() {
  require(started(), "the reader of \"{}\" has not been started", source());
  if (lender_) lender_->queue().give_back();
  lender_ = nullptr;
  const size_t w = wait_for_turn();  // an interrupt of this wait is no failure
  try {
    return take_from(w);
  } catch (...) {
    failed_ = true;
    throw;
  }
}

const Batch* PrefetchReader::take_from(size_t worker) {
  if (worker == workers_.size()) {
    if (!any_batch_ || task_->spec.repeat) fail_without_samples();
    return nullptr;
  }
  const Batch* batch = workers_[worker]->queue().take();
  lender_ = workers_[worker].get();
  turn_ = (worker + 1) % workers_.size();
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
