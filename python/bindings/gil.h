// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bind.h"

// While one lives, close_engines() waits.
class Busy {
 public:
  Busy();
  ~Busy();
  Busy(const Busy&) = delete;
  Busy& operator=(const Busy&) = delete;
  static bool anyone();
};

// The interpreter's lock for a scope, as nb::gil_scoped_acquire and _release have it. But a thread that wants
// the lock after the interpreter has ended stands still for good: CPython before 3.14 would unwind it through
// C++ frames, and that terminates the process.
class WithGil {
 public:
  WithGil();
  ~WithGil();
  WithGil(const WithGil&) = delete;
  WithGil& operator=(const WithGil&) = delete;

 private:
  Busy busy_;
  PyGILState_STATE state_;
};

class WithoutGil {
 public:
  WithoutGil() : state_(PyEval_SaveThread()) {}
  ~WithoutGil();
  WithoutGil(const WithoutGil&) = delete;
  WithoutGil& operator=(const WithoutGil&) = delete;

 private:
  PyThreadState* state_;
};

// True once the interpreter has begun to end.
bool is_finalizing();
