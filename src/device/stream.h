// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <functional>
#include <utility>

#include "device/context.h"

namespace ctr {

// Where work may run beside other work of its rank, where devices can. `branch`: layers whose results are
// needed later than the next layer's; `gradients`: of weights, and what follows from them.
enum class Lane : uint8_t { main, branch, gradients };

// What a back end that runs asynchronously can do; a back end without these runs in program order.
struct StreamBackend {
  void* (*create)(int index, size_t upload_bytes);
  void (*release)(void* stream);
  // Between the two, work launched on ctx's stream is recorded instead of run. begin_recording is false where
  // recording is switched off.
  bool (*begin_recording)(const Context& ctx);
  void* (*end_recording)(const Context& ctx);  // a graph
  void (*abandon_recording)(const Context& ctx) noexcept;
  void (*replay)(const Context& ctx, void* graph);
  void (*release_graph)(void* graph);
  Lane (*step_aside)(const Context& ctx, Lane lane);  // returns the lane so far
  void (*step_back)(const Context& ctx, Lane lane);
  void (*join_aside)(const Context& ctx, Lane lane);
};

void register_stream_backend(Backend backend, const StreamBackend& functions);

// Owns the stream that orders the work of one rank; null on a CPU.
class Stream {
 public:
  Stream() = default;
  // A step copies about so many bytes from host memory.
  explicit Stream(Device device, size_t upload_bytes = size_t{1} << 20);
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

// What is launched while one of these lives runs on `lane` (not main: where it would run anyway), after what
// has been launched so far, and beside what comes later, until join_aside(): its inputs must stay as they are
// until then.
class Aside {
 public:
  Aside(const Context& ctx, Lane lane);
  ~Aside();
  Aside(const Aside&) = delete;
  Aside& operator=(const Aside&) = delete;

 private:
  const Context& ctx_;
  bool is_aside_ = false;
  Lane before_ = Lane::main;
};
void join_aside(const Context& ctx, Lane lane);

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
