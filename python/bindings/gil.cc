// SPDX-License-Identifier: Apache-2.0
#include "gil.h"

#include <unistd.h>

namespace {

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

WithGil::WithGil() : state_(acquire()) {}

WithoutGil::~WithoutGil() { restore(state_); }

bool is_finalizing() {
#if PY_VERSION_HEX >= 0x030D0000
  return Py_IsFinalizing();
#else
  return _Py_IsFinalizing();
#endif
}
