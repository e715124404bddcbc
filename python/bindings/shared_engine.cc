// SPDX-License-Identifier: Apache-2.0
#include "shared_engine.h"

#include <atomic>
#include <chrono>
#include <thread>

#include "base/error.h"

namespace {

using namespace std::chrono_literals;
constexpr auto kPatience = 5s;  // with work that does not look for interrupts

std::atomic<bool> closing = false;

// A thread ends without a word, as by sys.exit().
[[noreturn]] void fail_closed() {
  if (gettid() != getpid()) {
    PyErr_SetNone(PyExc_SystemExit);
    throw nb::python_error();
  }
  ctr::fail(ctr::ErrorKind::unsupported, "the interpreter is ending, and models cannot be used any more");
}

}  // namespace

bool is_closing() { return closing; }

Work::Work() {
  if (closing) fail_closed();
}

void SharedEngine::require_usable() const {
  if (is_foreign())
    ctr::fail(
        ctr::ErrorKind::unsupported,
        "this model belongs to process {}, which process {} was forked from without the model's threads: "
        "make the model in the new process, or start processes with multiprocessing's \"spawn\" method",
        owner_, getpid());
  if (!engine_) fail_closed();
}

void close_engines(const std::vector<std::shared_ptr<SharedEngine>>& engines) {
  closing = true;
  {
    const WithoutGil released;
    const auto end = std::chrono::steady_clock::now() + kPatience;
    while (Busy::anyone() && std::chrono::steady_clock::now() < end) std::this_thread::sleep_for(1ms);
  }
  if (Busy::anyone()) return;  // it goes on with what it has until the process ends
  std::vector<std::unique_ptr<ctr::Engine>> ended;
  for (const auto& engine : engines)
    if (!engine->is_foreign()) ended.push_back(engine->take());
  const WithoutGil released;
  ended.clear();
}
