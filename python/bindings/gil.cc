// SPDX-License-Identifier: Apache-2.0
#include "gil.h"

#include <pthread.h>
#include <unistd.h>

#include <atomic>

namespace {

std::atomic<int> busy = 0;
[[maybe_unused]] const int counting = pthread_atfork(nullptr, nullptr, [] { busy = 0; });

// Stops the thread when it is unwound.
struct StandStill {
  bool armed = true;
  ~StandStill() {
    while (armed) pause();
  }
};

// Not inlined into a destructor, whose end an unwinding would be.
[[gnu::noinline]] PyGILState_STATE acquire() {
  StandStill when_unwound;
  const PyGILState_STATE state = PyGILState_Ensure();
  when_unwound.armed = false;
  return state;
}

[[gnu::noinline]] void restore(PyThreadState* state) {
  StandStill when_unwound;
  PyEval_RestoreThread(state);
  when_unwound.armed = false;
}

}  // namespace

Busy::Busy() { ++busy; }
Busy::~Busy() { --busy; }
bool Busy::anyone() { return busy > 0; }

WithGil::WithGil() : state_(acquire()) {}

WithGil::~WithGil() {
  if (!PyGILState_Check()) const StandStill unwound;  // out of Python code that this scope called
  PyGILState_Release(state_);
}

WithoutGil::~WithoutGil() { restore(state_); }

bool is_finalizing() {
#if PY_VERSION_HEX >= 0x030D0000
  return Py_IsFinalizing();
#else
  return _Py_IsFinalizing();
#endif
}
