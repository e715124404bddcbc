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

Stream::Stream(Device device, size_t upload_bytes) : backend_(device.backend) {
  if (functions(backend_).create) handle_ = functions(backend_).create(device.index, upload_bytes);
}

Stream::~Stream() {
  if (handle_) functions(backend_).release(handle_);
}

Aside::Aside(const Context& ctx, Lane lane) : ctx_(ctx) {
  const auto f = functions(ctx.device.backend).step_aside;
  is_aside_ = f && lane != Lane::main;
  if (is_aside_) before_ = f(ctx, lane);
}

Aside::~Aside() {
  if (is_aside_) functions(ctx_.device.backend).step_back(ctx_, before_);
}

void join_aside(const Context& ctx, Lane lane) {
  if (const auto f = functions(ctx.device.backend).join_aside) f(ctx, lane);
}

void StepGraph::run(const Context& ctx, const std::function<void()>& step) {
  backend_ = ctx.device.backend;
  const StreamBackend& f = functions(backend_);
  if (graph_) return f.replay(ctx, graph_);
  // The first whole run loads kernels and fills caches, which a recording must not do.
  if (!warm_ || !f.begin_recording || !f.begin_recording(ctx)) {
    step();
    warm_ = true;
    return;
  }
  try {
    step();
  } catch (...) {
    f.abandon_recording(ctx);
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
