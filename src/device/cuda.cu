// SPDX-License-Identifier: Apache-2.0
#include "device/cuda.cuh"

#include <cstdlib>
#include <cstring>

#include "base/parallel.h"
#include "device/memory.h"
#include "device/stream.h"

namespace ctr {
namespace cuda {
namespace {

bool is_set(const char* variable) {
  const char* value = std::getenv(variable);
  return value && *value && std::string_view(value) != "0";
}

cudaEvent_t new_event() {
  cudaEvent_t event;
  check(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "creating an event");
  return event;
}

}  // namespace

void check(cudaError_t status, std::string_view what) {
  if (status == cudaSuccess) return;
  static_cast<void>(cudaGetLastError());  // so that the next call does not report it again
  fail(status == cudaErrorMemoryAllocation ? ErrorKind::out_of_memory : ErrorKind::device,
       "CUDA: {}: {} ({}); HUGECTR_CUDA_SYNC=1 finds the kernel an error comes from", what,
       cudaGetErrorString(status), cudaGetErrorName(status));
}

Stream::Stream(int device)
    : device_(device),
      threads_(std::min(kFillThreads, available_threads())),
      synchronous_(is_set("HUGECTR_CUDA_SYNC")) {
  check(cudaSetDevice(device), "choosing a device");
  check(cudaDeviceGetAttribute(&multiprocessors_, cudaDevAttrMultiProcessorCount, device),
        "reading the device");
  check(cudaStreamCreateWithFlags(&main_, cudaStreamNonBlocking), "creating a stream");
  check(cudaStreamCreateWithFlags(&copy_, cudaStreamNonBlocking), "creating a stream");
  check(cudaStreamCreateWithFlags(&side_, cudaStreamNonBlocking), "creating a stream");
  check(cudaMalloc(&workspace_, kWorkspaceBytes), "allocating the workspace");
  check(cudaMalloc(&ring_, kRingBytes), "allocating the input ring");
  check(cudaMallocHost(&pinned_, kRingBytes), "allocating the pinned input ring");
  for (cudaEvent_t* event : {&arrived_, &forked_, &joined_}) *event = new_event();
}

Stream::~Stream() {
  for (cudaStream_t stream : {copy_, side_, main_}) cudaStreamSynchronize(stream);
  locals_.clear();
  for (const Piece& piece : pieces_) cudaEventDestroy(piece.free);
  for (cudaEvent_t event : events_) cudaEventDestroy(event);
  for (cudaEvent_t event : {arrived_, forked_, joined_}) cudaEventDestroy(event);
  cudaFree(workspace_);
  cudaFree(ring_);
  cudaFreeHost(pinned_);
  for (cudaStream_t stream : {copy_, side_, main_}) cudaStreamDestroy(stream);
}

void Stream::step_aside() {
  check(cudaEventRecord(forked_, main_), "forking a stream");
  check(cudaStreamWaitEvent(side_, forked_), "forking a stream");
  aside_ = is_forked_ = true;
}

void Stream::join() {
  if (!std::exchange(is_forked_, false)) return;
  check(cudaEventRecord(joined_, side_), "joining a stream");
  check(cudaStreamWaitEvent(main_, joined_), "joining a stream");
}

cudaEvent_t Stream::take_event() {
  if (events_.empty()) return new_event();
  const cudaEvent_t event = events_.back();
  events_.pop_back();
  return event;
}

void Stream::recycle_oldest() {
  check(cudaEventSynchronize(pieces_.front().free), "waiting for the input ring");
  events_.push_back(pieces_.front().free);
  pieces_.pop_front();
}

// Position of `bytes` of the ring, once their last use is over. Pieces lie in order of use, so that the
// oldest are the first in the way.
size_t Stream::reserve(size_t bytes) {
  constexpr size_t kAlignment = 256;
  const size_t wanted = (bytes + kAlignment - 1) / kAlignment * kAlignment;
  if (position_ + wanted > kRingBytes) {
    while (!pieces_.empty() && pieces_.front().begin >= position_) recycle_oldest();
    position_ = 0;
  }
  const size_t begin = position_, end = begin + wanted;
  while (!pieces_.empty() && pieces_.front().begin < end && begin < pieces_.front().end) recycle_oldest();
  position_ = end;
  pieces_.push_back({begin, end, take_event()});
  return begin;
}

void Stream::upload(void* to, size_t bytes, const Fill& fill) {
  constexpr size_t kPiece = kRingBytes / 8, kDirect = size_t{256} << 10, kAlone = size_t{1} << 20;
  static_assert(kPiece % kFillUnit == 0);
  for (size_t done = 0; done < bytes; done += kPiece) {
    const size_t n = std::min(kPiece, bytes - done);
    const size_t at = reserve(n);
    const auto units = static_cast<int64_t>((n + kFillUnit - 1) / kFillUnit);
    parallel_team(n < kAlone ? 1 : threads_, [&](int member, int team) {
      const Range r = split(units, member, team);
      const size_t begin = static_cast<size_t>(r.begin) * kFillUnit;
      fill(pinned_ + at + begin, done + begin, std::min(static_cast<size_t>(r.end) * kFillUnit, n) - begin);
    });
    auto* target = static_cast<std::byte*>(to) + done;
    if (n <= kDirect) {
      check(cudaMemcpyAsync(target, pinned_ + at, n, cudaMemcpyHostToDevice, main_), "copying to the device");
    } else {
      check(cudaMemcpyAsync(ring_ + at, pinned_ + at, n, cudaMemcpyHostToDevice, copy_),
            "copying to the device");
      check(cudaEventRecord(arrived_, copy_), "copying to the device");
      check(cudaStreamWaitEvent(main_, arrived_), "copying to the device");
      check(cudaMemcpyAsync(target, ring_ + at, n, cudaMemcpyDeviceToDevice, main_), "copying to the device");
    }
    check(cudaEventRecord(pieces_.back().free, main_), "copying to the device");
  }
}

void Stream::download(void* host, const void* from, size_t bytes) {
  check(cudaMemcpyAsync(host, from, bytes, cudaMemcpyDeviceToHost, main_), "copying to the host");
  check(cudaStreamSynchronize(main_), "copying to the host");
}

bool Stream::begin_recording() {
  if (synchronous_) return false;
  check(cudaStreamBeginCapture(main_, cudaStreamCaptureModeThreadLocal), "recording a step");
  return true;
}

cudaGraphExec_t Stream::end_recording() {
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t executable = nullptr;
  check(cudaStreamEndCapture(main_, &graph), "recording a step");
  const cudaError_t status = cudaGraphInstantiate(&executable, graph, 0);
  cudaGraphDestroy(graph);
  check(status, "recording a step");
  return executable;
}

void Stream::launched(std::string_view kernel) const {
  check(cudaGetLastError(), kernel);
  if (synchronous_) check(cudaStreamSynchronize(aside_ ? side_ : main_), kernel);
}

namespace {

void* allocate(int index, size_t bytes) {
  check(cudaSetDevice(index), "choosing a device");
  void* data = nullptr;
  const cudaError_t status = cudaMalloc(&data, bytes);
  if (status == cudaErrorMemoryAllocation) {
    static_cast<void>(cudaGetLastError());
    return nullptr;
  }
  check(status, "allocating memory");
  check(cudaMemset(data, 0, bytes), "clearing memory");
  check(cudaStreamSynchronize(cudaStreamLegacy), "clearing memory");
  return data;
}

void release(int, void* data) { cudaFree(data); }

void copy_to_device(const Context& ctx, void* to, const void* host, size_t bytes) {
  stream_of(ctx).upload(to, bytes, [host](std::byte* pinned, size_t begin, size_t n) {
    std::memcpy(pinned, static_cast<const std::byte*>(host) + begin, n);
  });
}
void copy_to_host(const Context& ctx, void* host, const void* from, size_t bytes) {
  stream_of(ctx).download(host, from, bytes);
}
void fill_zero(const Context& ctx, void* data, size_t bytes) {
  check(cudaMemsetAsync(data, 0, bytes, stream_of(ctx).get()), "clearing memory");
}
void synchronize(const Context& ctx) {
  check(cudaStreamSynchronize(stream_of(ctx).get()), "waiting for a stream");
}

void* create_stream(int index) { return new Stream(index); }
void release_stream(void* stream) { delete static_cast<Stream*>(stream); }
bool begin_recording(const Context& ctx) { return stream_of(ctx).begin_recording(); }
void* end_recording(const Context& ctx) { return stream_of(ctx).end_recording(); }
void replay(const Context& ctx, void* graph) {
  check(cudaGraphLaunch(static_cast<cudaGraphExec_t>(graph), stream_of(ctx).get()), "replaying a step");
}
void release_graph(void* graph) { cudaGraphExecDestroy(static_cast<cudaGraphExec_t>(graph)); }

}  // namespace
}  // namespace cuda

void register_device_cuda() {
  register_memory_backend(Backend::cuda, {cuda::allocate, cuda::release, cuda::copy_to_device,
                                          cuda::copy_to_host, cuda::fill_zero, cuda::synchronize});
  register_stream_backend(Backend::cuda, {cuda::create_stream, cuda::release_stream, cuda::begin_recording,
                                          cuda::end_recording, cuda::replay, cuda::release_graph});
}

}  // namespace ctr
