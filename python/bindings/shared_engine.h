// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <unistd.h>

#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "base/fork.h"
#include "base/interrupt.h"
#include "bind.h"
#include "gil.h"
#include "model/engine.h"

// A stretch of work on an engine. Starts and ends with the interpreter's lock held, which it may give up
// meanwhile.
class Work {
 public:
  Work();  // throws once close_engines() was called

 private:
  Busy busy_;
};

// True once close_engines() was called: all work is to end.
bool is_closing();

// An engine that several Python threads may call: their calls follow each other. A callback of a call, as of
// fit's progress, may call again.
class SharedEngine {
 public:
  explicit SharedEngine(std::unique_ptr<ctr::Engine> engine) : engine_(std::move(engine)) {}

  // Runs body(engine) without the interpreter's lock. Ctrl-C ends the wait for another thread's call.
  template <class Body>
  decltype(auto) call(Body&& body) {
    require_usable();
    const Work work;
    const WithoutGil released;
    wait();
    const std::unique_lock lock(mutex_, std::adopt_lock);
    return std::forward<Body>(body)(*engine_);
  }

  // What no call changes.
  const ctr::Engine& constant() const {
    require_usable();
    return *engine_;
  }

  // Made by the process that this one was forked from: its threads are there.
  bool is_foreign() const { return process_ != ctr::fork_count(); }
  // Leaves nothing to call.
  std::unique_ptr<ctr::Engine> take() { return std::move(engine_); }

 private:
  void require_usable() const;
  void wait() {
    while (!mutex_.try_lock_for(ctr::kInterruptInterval)) ctr::check_interrupt();
  }

  std::unique_ptr<ctr::Engine> engine_;
  std::recursive_timed_mutex mutex_;
  int process_ = ctr::fork_count();
  pid_t owner_ = getpid();
};

// For the end of the interpreter: asks all work to end, waits for it a few seconds, and then frees the
// engines, so that no thread of theirs runs on.
void close_engines(const std::vector<std::shared_ptr<SharedEngine>>& engines);
