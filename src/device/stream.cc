// SPDX-License-Identifier: Apache-2.0
#include "device/stream.h"

namespace ctr {
namespace {

StreamBackend& functions(Backend b) {
  static StreamBackend backends[kNumBackends] = {};
  return backends[static_cast<int>(b)];
}

}  // namespace

void register_stream_backend(Backend b, const StreamBackend& f) { functions(b) = f; }

Stream::Stream(Device device) : backend_(device.backend) {
  if (functions(backend_).create) handle_ = functions(backend_).create(device.index);
}

Stream::~Stream() {
  if (handle_) functions(backend_).release(handle_);
}

Aside::Aside(const Context& ctx) : ctx_(ctx) {
  if (const auto f = functions(ctx.device.backend).step_aside) f(ctx);
}

Aside::~Aside() {
  if (const auto f = functions(ctx_.device.backend).step_back) f(ctx_);
}

void join_aside(const Context& ctx) {
  if (const auto f = functions(ctx.device.backend).join_aside) f(ctx);
}

void StepGraph::run(const Context& ctx, const std::function<void()>& step) {
  backend_ = ctx.device.backend;
  const StreamBackend& f = functions(backend_);
  if (graph_) return f.replay(ctx, graph_);
  // The first run loads kernels and fills caches, which a recording must not do.
  if (!std::exchange(warm_, true) || !f.begin_recording || !f.begin_recording(ctx)) return step();
  try {
    step();
  } catch (...) {
    if (void* broken = f.end_recording(ctx)) f.release_graph(broken);
    throw;
  }
  graph_ = f.end_recording(ctx);
  f.replay(ctx, graph_);
}

void StepGraph::reset() {
  if (graph_) functions(backend_).release_graph(std::exchange(graph_, nullptr));
  warm_ = false;
}

}  // namespace ctr
