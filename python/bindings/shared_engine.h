// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mutex>
#include <utility>

#include "base/interrupt.h"
#include "bind.h"
#include "model/engine.h"

// An engine that several Python threads may call: their calls follow each other. A callback of a call, as of
// fit's progress, may call again.
class SharedEngine {
 public:
  SharedEngine(ctr::ModelSpec spec, ctr::ArrowOpener open_arrow)
      : engine_(std::move(spec), std::move(open_arrow)) {}

  // Runs body(engine) without the interpreter's lock. Ctrl-C ends the wait for another thread's call.
  template <class Body>
  decltype(auto) call(Body&& body) {
    const nb::gil_scoped_release release;
    wait();
    const std::unique_lock lock(mutex_, std::adopt_lock);
    return std::forward<Body>(body)(engine_);
  }

  // What no call changes.
  const ctr::Engine& constant() const { return engine_; }

 private:
  void wait() {
    while (!mutex_.try_lock_for(ctr::kInterruptInterval)) ctr::check_interrupt();
  }

  ctr::Engine engine_;
  std::recursive_timed_mutex mutex_;
};
