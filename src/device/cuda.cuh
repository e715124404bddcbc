// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cuda_runtime_api.h>

#include <algorithm>
#include <memory>
#include <string_view>
#include <typeindex>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/error.h"
#include "device/context.h"
#include "device/uploads.cuh"

namespace ctr::cuda {

// Throws a device error (or out_of_memory) that says what was being done.
void check(cudaError_t status, std::string_view what);
cudaEvent_t new_event();  // without timing

// What ctx.stream points at: the stream that orders a rank's work, and what belongs to it, made as far as it
// is used.
class Stream {
 public:
  static constexpr size_t kMaxWorkspaceBytes = size_t{32} << 20;

  Stream(int device, size_t upload_bytes);  // that one step copies from host memory
  ~Stream();
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  // The stream that work goes to now. Uploads so far come before it.
  cudaStream_t get();

  // Those of device/stream.h, and one for what embeddings prepare for their update.
  enum Lane { kMain, kBranch, kGradients, kSort };
  Lane step_aside(Lane lane);  // returns the lane so far
  void step_back(Lane lane) { lane_ = lane; }
  void join(Lane lane);
  Lane lane() const { return lane_; }

  // Scratch memory of the operation that runs now, for so many elements: nothing in it outlives the
  // operation.
  template <class T>
  T* workspace(int64_t n) {
    return reinterpret_cast<T*>(workspace_bytes(static_cast<size_t>(n) * sizeof(T)));
  }
  // Zero before and after every operation: where the blocks of a kernel count how many have come to its end.
  unsigned* counter() const { return lanes_[lane_].counter; }

  // What a kernel library keeps per stream, made at the first use: `stream.local<Handles>()`.
  template <class T>
  T& local() {
    auto& entry = locals_[std::type_index(typeid(T))];
    if (!entry) entry = std::make_shared<T>();
    return *static_cast<T*>(entry.get());
  }

  // Copies from host memory, before any work that is launched later.
  void upload(void* to, size_t bytes, const Uploads::Fill& fill);
  void synchronize();                                         // waits for all lanes
  void download(void* host, const void* from, size_t bytes);  // waits

  bool begin_recording();
  cudaGraphExec_t end_recording();
  void abandon_recording() noexcept;
  bool is_recording() const { return is_recording_; }
  // Called after every launch. With HUGECTR_CUDA_SYNC=1 waits for the kernel, so that its errors carry its
  // name.
  void launched(std::string_view kernel);
  int multiprocessors() const { return multiprocessors_; }

 private:
  static constexpr int kLanes = 4;
  struct LaneState {
    cudaStream_t stream = nullptr;
    std::vector<std::byte*> workspaces;  // the last one counts; recordings may refer to those before
    size_t workspace_bytes = 0;
    unsigned* counter = nullptr;
    cudaEvent_t forked = nullptr, joined = nullptr;
    bool is_forked = false;
  };

  void choose_device() const;
  LaneState& open(Lane lane);
  std::byte* workspace_bytes(size_t bytes);

  int device_;
  int multiprocessors_ = 0;
  bool synchronous_;  // HUGECTR_CUDA_SYNC
  bool is_recording_ = false;
  Lane lane_ = kMain;
  LaneState lanes_[kLanes];
  Uploads uploads_;
  std::unordered_map<std::type_index, std::shared_ptr<void>> locals_;
};

inline Stream& stream_of(const Context& ctx) { return *static_cast<Stream*>(ctx.stream); }

// Work goes to `lane` as long as this lives.
class OnLane {
 public:
  OnLane(Stream& stream, Stream::Lane lane) : stream_(stream), before_(stream.step_aside(lane)) {}
  ~OnLane() { stream_.step_back(before_); }
  OnLane(const OnLane&) = delete;
  OnLane& operator=(const OnLane&) = delete;

 private:
  Stream& stream_;
  Stream::Lane before_;
};

inline constexpr int kBlock = 256;

inline int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }
// Blocks of a loop over n items that strides by the grid.
inline unsigned grid_for(const Stream& stream, int64_t n, int64_t items_per_block = kBlock) {
  return static_cast<unsigned>(
      std::clamp<int64_t>(divide_up(n, items_per_block), 1, int64_t{stream.multiprocessors()} * 16));
}

struct Launch {
  dim3 grid;
  dim3 block = kBlock;
  size_t shared_bytes = 0;
};

#ifdef __CUDACC__
template <class... Params, class... Args>
void launch(const Context& ctx, std::string_view name, const Launch& shape, void (*kernel)(Params...),
            Args&&... args) {
  Stream& stream = stream_of(ctx);
  kernel<<<shape.grid, shape.block, shape.shared_bytes, stream.get()>>>(std::forward<Args>(args)...);
  stream.launched(name);
}
#endif

}  // namespace ctr::cuda
