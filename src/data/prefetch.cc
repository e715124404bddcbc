// SPDX-License-Identifier: Apache-2.0
#include "data/prefetch.h"

#include <chrono>
#include <condition_variable>
#include <system_error>
#include <thread>

#include "base/error.h"
#include "base/interrupt.h"
#include "base/log.h"

namespace ctr {
namespace {

constexpr std::chrono::seconds kStopPatience{1};

// A ring of batches between a source and its consumer. The thread that fills it owns it too, with the task
// and the source: a thread that is left behind keeps all it uses.
class Ring {
 public:
  Ring(std::shared_ptr<ReadTask> task, std::unique_ptr<BatchSource> source)
      : task_(std::move(task)),
        source_(std::move(source)),
        batches_(static_cast<size_t>(task_->spec.prefetch) + 1)  // one more: the batch the consumer holds
  {}

  void request_stop() {
    {
      std::lock_guard lock(mutex_);
      if (stop_) return;
      stop_ = true;
      patience_ends_ = std::chrono::steady_clock::now() + kStopPatience;
    }
    changed_.notify_all();
  }

  // After request_stop(). False when the source does not return.
  bool wait_for_end() {
    std::unique_lock lock(mutex_);
    return changed_.wait_until(lock, patience_ends_, [&] { return ended_; });
  }

  // Waits; false when this worker has ended without an error.
  bool has_batch_or_error() {
    std::unique_lock lock(mutex_);
    wait_interruptibly(changed_, lock, [&] { return produced_ > taken_ || ended_; });
    return produced_ > taken_ || error_;
  }

  // After has_batch_or_error(). The batch stays valid until give_back().
  const Batch* take() {
    std::lock_guard lock(mutex_);
    if (produced_ == taken_) std::rethrow_exception(error_);
    return &batches_[taken_++ % batches_.size()];
  }

  void give_back() {
    {
      std::lock_guard lock(mutex_);
      freed_ = taken_;
    }
    changed_.notify_all();
  }

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

 private:
  Batch* wait_for_room() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return stop_ || produced_ - freed_ < batches_.size(); });
    return stop_ ? nullptr : &batches_[produced_ % batches_.size()];
  }

  std::shared_ptr<ReadTask> task_;
  std::unique_ptr<BatchSource> source_;  // refers to the task
  std::vector<Batch> batches_;
  std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  size_t produced_ = 0, taken_ = 0, freed_ = 0;  // batches so far; freed <= taken <= produced
  bool ended_ = false, stop_ = false;
  std::chrono::steady_clock::time_point patience_ends_;
  std::exception_ptr error_;
};

}  // namespace

class PrefetchReader::Worker {
 public:
  Worker(const std::shared_ptr<ReadTask>& task, std::unique_ptr<BatchSource> source)
      : name_(task->spec.source),
        ring_(std::make_shared<Ring>(task, std::move(source))),
        thread_([ring = ring_] { ring->run(); }) {}

  ~Worker() {
    ring_->request_stop();
    if (ring_->wait_for_end()) {
      thread_.join();
    } else {
      log::warning("\"{}\" does not respond: a thread that reads from it is left behind", name_);
      thread_.detach();
    }
  }

  Ring& ring() { return *ring_; }

 private:
  std::string name_;
  std::shared_ptr<Ring> ring_;
  std::thread thread_;  // last: once it runs, nothing else may fail
};

PrefetchReader::PrefetchReader(const ReaderSpec& spec, Open open)
    : task_(std::make_shared<ReadTask>(spec, make_layout(spec))), open_(open) {}

PrefetchReader::~PrefetchReader() { stop(); }

void PrefetchReader::stop() {
  lender_ = nullptr;
  for (auto& worker : workers_) worker->ring().request_stop();
  workers_.clear();
}

void PrefetchReader::start(const std::string& source) {
  auto task = task_->again(source);
  BatchSources sources = open_(*task);  // when this fails, the current source goes on
  stop();
  task_ = std::move(task);
  turn_ = 0;
  any_batch_ = failed_ = false;
  workers_ = start_workers(task_, std::move(sources));
}

// All or none.
PrefetchReader::Workers PrefetchReader::start_workers(const std::shared_ptr<ReadTask>& task,
                                                      BatchSources sources) {
  Workers workers;
  try {
    for (auto& source : sources) workers.push_back(std::make_unique<Worker>(task, std::move(source)));
  } catch (const std::system_error&) {
    fail(ErrorKind::out_of_memory,
         "\"{}\": cannot start reader thread {} of {}: the limit on threads is reached (ulimit -u, or the "
         "pids "
         "or memory limit of a container); set a smaller num_workers in DataReaderParams",
         task->spec.source, workers.size() + 1, sources.size());
  }
  return workers;
}

size_t PrefetchReader::wait_for_turn() const {
  for (size_t i = 0; i < workers_.size(); ++i) {
    const size_t w = (turn_ + i) % workers_.size();
    if (workers_[w]->ring().has_batch_or_error()) return w;
  }
  return workers_.size();
}

const Batch* PrefetchReader::next() {
  require(started(), "the reader of \"{}\" has not been started", source());
  if (lender_) lender_->ring().give_back();
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
  const Batch* batch = workers_[worker]->ring().take();
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
