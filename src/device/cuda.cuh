// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cuda_runtime_api.h>

#include <algorithm>
#include <deque>
#include <functional>
#include <memory>
#include <string_view>
#include <typeindex>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/error.h"
#include "device/context.h"

namespace ctr::cuda {

// Throws a device error (or out_of_memory) that says what was being done.
void check(cudaError_t status, std::string_view what);

// What ctx.stream points at: the stream that orders a rank's work, and what belongs to it.
class Stream {
 public:
  static constexpr size_t kWorkspaceBytes = size_t{32} << 20;

  explicit Stream(int device);
  ~Stream();
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  cudaStream_t get() const {
    cudaSetDevice(device_);  // the calling thread may have used another one
    return aside_ ? side_ : main_;
  }
  // Between the two, work goes to a second stream, after what is on the first; the first waits for it at
  // join().
  void step_aside();
  void step_back() { aside_ = false; }
  void join();
  // Scratch memory of the operation that runs now: nothing in it outlives the operation.
  template <class T>
  T* workspace() const {
    return static_cast<T*>(workspace_);
  }
  // What a kernel library keeps per stream, made at the first use: `stream.local<Handles>()`.
  template <class T>
  T& local() {
    auto& entry = locals_[std::type_index(typeid(T))];
    if (!entry) entry = std::make_shared<T>();
    return *static_cast<T*>(entry.get());
  }

  // Copies from host memory in stream order. Large copies travel on a stream of their own into a ring, while
  // earlier work still runs, and are moved to their place from there. `fill(pinned, begin, n)` writes bytes
  // [begin, begin + n) of what is to be copied; pieces are whole multiples of kFillUnit.
  using Fill = std::function<void(std::byte* pinned, size_t begin, size_t n)>;
  static constexpr size_t kFillUnit = 256;
  // `fill` is called for parts of large copies at once, by a few threads: more of them gain little and wake
  // up late.
  static constexpr int kFillThreads = 4;
  void upload(void* to, size_t bytes, const Fill& fill);
  void download(void* host, const void* from, size_t bytes);  // waits

  bool begin_recording();
  cudaGraphExec_t end_recording();
  // Called after every launch. With HUGECTR_CUDA_SYNC=1 waits for the kernel, so that its errors carry its
  // name.
  void launched(std::string_view kernel) const;
  int multiprocessors() const { return multiprocessors_; }

 private:
  static constexpr size_t kRingBytes = size_t{64} << 20;
  struct Piece {  // of the ring, in use until its event has happened
    size_t begin, end;
    cudaEvent_t free;
  };
  size_t reserve(size_t bytes);
  void recycle_oldest();
  cudaEvent_t take_event();

  int device_, threads_;
  int multiprocessors_ = 0;
  bool synchronous_;  // HUGECTR_CUDA_SYNC
  bool aside_ = false, is_forked_ = false;
  cudaStream_t main_ = nullptr, copy_ = nullptr, side_ = nullptr;
  cudaEvent_t arrived_ = nullptr, forked_ = nullptr, joined_ = nullptr;
  void* workspace_ = nullptr;
  std::byte *pinned_ = nullptr, *ring_ = nullptr;  // the ring, on the host and on the device
  size_t position_ = 0;
  std::deque<Piece> pieces_;
  std::vector<cudaEvent_t> events_;  // spare
  std::unordered_map<std::type_index, std::shared_ptr<void>> locals_;
};

inline Stream& stream_of(const Context& ctx) { return *static_cast<Stream*>(ctx.stream); }

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
  const Stream& stream = stream_of(ctx);
  kernel<<<shape.grid, shape.block, shape.shared_bytes, stream.get()>>>(std::forward<Args>(args)...);
  stream.launched(name);
}
#endif

}  // namespace ctr::cuda
