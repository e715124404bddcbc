// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <utility>

#include "device/context.h"

namespace ctr {

// What a back end that runs asynchronously can do; a back end without these runs in program order.
struct StreamBackend {
  void* (*create)(int index);
  void (*release)(void* stream);
  // Between the two, work launched on ctx's stream is recorded instead of run. begin_recording is false where
  // recording is switched off.
  bool (*begin_recording)(const Context& ctx);
  void* (*end_recording)(const Context& ctx);  // a graph
  void (*replay)(const Context& ctx, void* graph);
  void (*release_graph)(void* graph);
  void (*step_aside)(const Context& ctx);
  void (*step_back)(const Context& ctx);
  void (*join_aside)(const Context& ctx);
};

void register_stream_backend(Backend backend, const StreamBackend& functions);

// Owns the stream that orders the work of one rank; null on a CPU.
class Stream {
 public:
  Stream() = default;
  explicit Stream(Device device);
  ~Stream();
  Stream(Stream&& other) noexcept { *this = std::move(other); }
  Stream& operator=(Stream&& other) noexcept {
    std::swap(backend_, other.backend_);
    std::swap(handle_, other.handle_);
    return *this;
  }

  void* handle() const { return handle_; }

 private:
  Backend backend_ = Backend::cpu;
  void* handle_ = nullptr;
};

// What is launched while one of these lives may run beside what comes later, until join_aside(): work whose
// result nobody needs soon, and whose inputs stay as they are until then.
class Aside {
 public:
  explicit Aside(const Context& ctx);
  ~Aside();
  Aside(const Aside&) = delete;
  Aside& operator=(const Aside&) = delete;

 private:
  const Context& ctx_;
};
void join_aside(const Context& ctx);

// A sequence of operations that is the same every time: run, then recorded, then replayed as a whole. What
// changes from run to run must be in device memory.
class StepGraph {
 public:
  StepGraph() = default;
  ~StepGraph() { reset(); }
  StepGraph(const StepGraph&) = delete;
  StepGraph& operator=(const StepGraph&) = delete;

  // Does what step() does. On a CPU always by calling it.
  void run(const Context& ctx, const std::function<void()>& step);
  // Forgets the recording: the sequence or its memory is about to change.
  void reset();

 private:
  Backend backend_ = Backend::cpu;
  bool warm_ = false;
  void* graph_ = nullptr;
};

}  // namespace ctr
