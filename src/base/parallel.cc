// SPDX-License-Identifier: Apache-2.0
#include "base/parallel.h"

#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include <atomic>
#include <cstdlib>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/fork.h"
#include "base/log.h"

namespace ctr {
namespace {

int available_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) == 0) return std::max(1, CPU_COUNT(&set));
  return static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
}

std::atomic<int> helpers_alive = 0;  // of all teams

// A number that one thread waits for. Loops of a training step follow each other within microseconds: worth
// spinning, unless others wait for the core. It never yields, as std::atomic::wait() does: on a busy machine
// that costs a time slice.
class Signal {
 public:
  int value() const { return value_.load(std::memory_order_acquire); }
  void set(int value) { value_.store(value, std::memory_order_relaxed); }
  int add(int change) { return value_.fetch_add(change) + change; }
  void wake() {
    if (is_asleep_) syscall(SYS_futex, &value_, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
  }
  void wait_while(int old) {
    static const int cores = available_cores();
    for (int spins = helpers_alive < cores ? 1000 : 100; spins > 0; --spins) {
      if (value() != old) return;
#ifdef __SSE2__
      _mm_pause();
#endif
    }
    is_asleep_ = true;  // before it looks again: who changes the value looks at this afterwards
    while (value_ == old) syscall(SYS_futex, &value_, FUTEX_WAIT_PRIVATE, old, nullptr, nullptr, 0);
    is_asleep_ = false;
  }

 private:
  static_assert(sizeof(std::atomic<int>) == sizeof(int));
  std::atomic<int> value_ = 0;
  std::atomic<bool> is_asleep_ = false;
};

using Part = void (*)(const void* body, int t);

// A thread and its helpers.
class Team {
 public:
  // The calling thread's.
  static Team& mine() {
    thread_local Team team;
    return team;
  }
  Team() = default;
  ~Team();
  Team(const Team&) = delete;
  Team& operator=(const Team&) = delete;

  void run(int parts, const void* body, Part part);

 private:
  struct alignas(64) Helper {
    Signal calls;
    std::thread thread;
  };

  void grow(int helpers);
  void forget_those_of_the_parent();
  void serve(Helper& helper, int member);
  void work(int member);
  void keep_error(int t);

  int process_ = fork_count();
  std::vector<std::unique_ptr<Helper>> helpers_;
  bool is_at_limit_ = false;  // the system has no more threads
  bool is_stopping_ = false;

  // The loop at work.
  int parts_ = 0, members_ = 0;
  const void* body_ = nullptr;
  Part part_ = nullptr;
  Signal pending_;    // helpers at work
  std::mutex mutex_;  // guards what follows
  std::exception_ptr error_;
  int failed_part_ = 0;
};

thread_local bool is_working = false;  // on a part

Team::~Team() {
  if (process_ != fork_count()) forget_those_of_the_parent();
  is_stopping_ = true;
  for (auto& helper : helpers_) {
    helper->calls.add(1);
    helper->calls.wake();
    helper->thread.join();
  }
  helpers_alive -= static_cast<int>(helpers_.size());
}

void Team::forget_those_of_the_parent() {
  helpers_alive -= static_cast<int>(helpers_.size());
  for (auto& helper : helpers_) static_cast<void>(helper.release());
  helpers_.clear();
}

void Team::grow(int helpers) {
  if (process_ != fork_count()) {
    forget_those_of_the_parent();
    process_ = fork_count();
    is_at_limit_ = false;
  }
  if (is_at_limit_) return;
  helpers_.reserve(static_cast<size_t>(helpers));
  while (std::ssize(helpers_) < helpers) {
    auto helper = std::make_unique<Helper>();
    try {
      helper->thread = std::thread(&Team::serve, this, std::ref(*helper), 1 + std::ssize(helpers_));
    } catch (const std::system_error&) {
      is_at_limit_ = true;
      return log::warn_once(
          fmt::format("The limit on threads is reached (ulimit -u, or the pids limit of a container): "
                      "computing with {} instead of {}",
                      1 + helpers_.size(), 1 + helpers));
    }
    helpers_.push_back(std::move(helper));
    ++helpers_alive;
  }
}

void Team::run(int parts, const void* body, Part part) {
  if (process_ != fork_count() || std::ssize(helpers_) < parts - 1) grow(parts - 1);
  const auto helpers = std::min<size_t>(helpers_.size(), static_cast<size_t>(parts - 1));
  parts_ = parts, members_ = static_cast<int>(helpers) + 1;
  body_ = body, part_ = part;
  pending_.set(static_cast<int>(helpers));
  for (size_t i = 0; i < helpers; ++i) {
    helpers_[i]->calls.add(1);
    helpers_[i]->calls.wake();
  }
  work(0);
  while (const int n = pending_.value()) pending_.wait_while(n);
  if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
}

void Team::serve(Helper& helper, int member) {
  for (int done = 0;; ++done) {
    helper.calls.wait_while(done);
    if (is_stopping_) return;
    work(member);
    if (pending_.add(-1) == 0) pending_.wake();
  }
}

void Team::work(int member) {
  is_working = true;
  for (int t = member; t < parts_; t += members_) try {
      part_(body_, t);
    } catch (...) {
      keep_error(t);
    }
  is_working = false;
}

void Team::keep_error(int t) {
  const std::lock_guard lock(mutex_);
  if (error_ && failed_part_ < t) return;
  error_ = std::current_exception();
  failed_part_ = t;
}

}  // namespace

int available_threads() {
  if (const char* text = std::getenv("HUGECTR_NUM_THREADS"); text && *text) {
    char* end = nullptr;
    const long n = std::strtol(text, &end, 10);
    require(*end == 0 && n > 0 && n <= 4096, "HUGECTR_NUM_THREADS must be a positive number, got \"{}\"",
            text);
    return static_cast<int>(n);
  }
  if (const char* text = std::getenv("OMP_NUM_THREADS"))
    if (const int n = std::atoi(text); n > 0) return n;
  return available_cores();
}

void detail::run_team(int parts, const void* body, Part part) {
  if (!is_working) return Team::mine().run(parts, body, part);
  for (int t = 0; t < parts; ++t) part(body, t);
}

}  // namespace ctr
