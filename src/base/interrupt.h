// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>

namespace ctr {

// No wait keeps an interrupt (Ctrl-C) from its caller for longer.
inline constexpr std::chrono::milliseconds kInterruptInterval{100};

// Sets what check_interrupt() calls: it throws when the calling thread is to give up what it waits for.
void set_interrupt_check(std::function<void()> check);
void check_interrupt();

// Waits on `changed` until `done()`; an interrupt ends the wait with what the check throws.
template <class Predicate>
void wait_interruptibly(std::condition_variable& changed, std::unique_lock<std::mutex>& lock,
                        const Predicate& done) {
  while (!changed.wait_for(lock, kInterruptInterval, done)) {
    lock.unlock();
    check_interrupt();
    lock.lock();
  }
}

}  // namespace ctr
