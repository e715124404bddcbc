// SPDX-License-Identifier: Apache-2.0
#include "device/cuda.cuh"

#include <bit>
#include <cstdlib>
#include <cstring>

#include "device/memory.h"
#include "device/stream.h"

namespace ctr {
namespace cuda {
namespace {

bool is_set(const char* variable) {
  const char* value = std::getenv(variable);
  return value && *value && std::string_view(value) != "0";
}

}  // namespace

cudaEvent_t new_event() {
  cudaEvent_t event;
  check(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "creating an event");
  return event;
}

void check(cudaError_t status, std::string_view what) {
  if (status == cudaSuccess) return;
  static_cast<void>(cudaGetLastError());  // so that the next call does not report it again
  fail(status == cudaErrorMemoryAllocation ? ErrorKind::out_of_memory : ErrorKind::device,
       "CUDA: {}: {} ({}); HUGECTR_CUDA_SYNC=1 finds the kernel an error comes from", what,
       cudaGetErrorString(status), cudaGetErrorName(status));
}

namespace {

int chosen(int device) {
  check(cudaSetDevice(device), "choosing a device");
  int major = 0, minor = 0;
  check(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device), "reading the device");
  check(cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device), "reading the device");
  constexpr int kOldest = std::min({__CUDA_ARCH_LIST__}) / 10;
  if (10 * major + minor < kOldest)
    fail(ErrorKind::device,
         "GPU {} has compute capability {}.{}, but the CUDA back end is built for {}.{} and newer", device,
         major, minor, kOldest / 10, kOldest % 10);
  return device;
}

}  // namespace

Stream::Stream(int device, size_t upload_bytes)
    : device_(chosen(device)), synchronous_(is_set("HUGECTR_CUDA_SYNC")), uploads_(upload_bytes) {
  check(cudaDeviceGetAttribute(&multiprocessors_, cudaDevAttrMultiProcessorCount, device),
        "reading the device");
  open(kMain);
}

Stream::LaneState& Stream::open(Lane which) {
  LaneState& lane = lanes_[which];
  if (lane.stream) return lane;
  choose_device();
  int lowest = 0, highest = 0;
  check(cudaDeviceGetStreamPriorityRange(&lowest, &highest), "reading the device");
  const int priority = which == kMain ? highest : lowest;  // what others wait for goes first
  check(cudaMalloc(&lane.counter, sizeof(unsigned)), "allocating the workspace");
  check(cudaMemset(lane.counter, 0, sizeof(unsigned)), "allocating the workspace");
  check(cudaStreamSynchronize(cudaStreamLegacy), "allocating the workspace");
  lane.forked = new_event();
  lane.joined = new_event();
  check(cudaStreamCreateWithPriority(&lane.stream, cudaStreamNonBlocking, priority), "creating a stream");
  return lane;
}

std::byte* Stream::workspace_bytes(size_t bytes) {
  LaneState& lane = lanes_[lane_];
  if (bytes > kMaxWorkspaceBytes)
    fail(ErrorKind::internal, "an operation wants {} bytes of workspace, there are {}", bytes,
         kMaxWorkspaceBytes);
  if (bytes > lane.workspace_bytes) {
    constexpr size_t kLeast = size_t{256} << 10;
    const size_t wanted =
        std::min(kMaxWorkspaceBytes, std::max({kLeast, 2 * lane.workspace_bytes, std::bit_ceil(bytes)}));
    std::byte* workspace = nullptr;
    choose_device();
    check(cudaMalloc(&workspace, wanted), "allocating the workspace");
    lane.workspaces.push_back(workspace);
    lane.workspace_bytes = wanted;
  }
  return lane.workspaces.empty() ? nullptr : lane.workspaces.back();
}

Stream::~Stream() {
  for (const LaneState& lane : lanes_)
    if (lane.stream) cudaStreamSynchronize(lane.stream);
  locals_.clear();
  for (const LaneState& lane : lanes_) {
    if (!lane.stream) continue;
    cudaEventDestroy(lane.forked);
    cudaEventDestroy(lane.joined);
    for (std::byte* workspace : lane.workspaces) cudaFree(workspace);
    cudaFree(lane.counter);
    cudaStreamDestroy(lane.stream);
  }
}

// The calling thread may have used another one.
void Stream::choose_device() const { check(cudaSetDevice(device_), "choosing a device"); }

void Stream::upload(void* to, size_t bytes, const Uploads::Fill& fill) {
  choose_device();
  uploads_.add(to, bytes, fill, lanes_[kMain].stream);
}

cudaStream_t Stream::get() {
  choose_device();
  LaneState& main = lanes_[kMain];
  if (uploads_.is_pending()) {
    uploads_.flush(main.stream);
    if (lane_ != kMain) {
      check(cudaEventRecord(main.forked, main.stream), "copying to the device");
      check(cudaStreamWaitEvent(lanes_[lane_].stream, main.forked), "copying to the device");
    }
  }
  return lanes_[lane_].stream;
}

Stream::Lane Stream::step_aside(Lane lane) {
  LaneState& to = open(lane);
  check(cudaEventRecord(to.forked, get()), "forking a stream");
  check(cudaStreamWaitEvent(to.stream, to.forked), "forking a stream");
  to.is_forked = true;
  return std::exchange(lane_, lane);
}

void Stream::join(Lane lane) {
  if (!std::exchange(lanes_[lane].is_forked, false)) return;
  check(cudaEventRecord(lanes_[lane].joined, lanes_[lane].stream), "joining a stream");
  check(cudaStreamWaitEvent(get(), lanes_[lane].joined), "joining a stream");
}

void Stream::synchronize() {
  check(cudaStreamSynchronize(get()), "waiting for a stream");
  for (const LaneState& lane : lanes_)
    if (lane.stream) check(cudaStreamSynchronize(lane.stream), "waiting for a stream");
}

void Stream::download(void* host, const void* from, size_t bytes) {
  check(cudaMemcpyAsync(host, from, bytes, cudaMemcpyDeviceToHost, get()), "copying to the host");
  check(cudaStreamSynchronize(get()), "copying to the host");
}

bool Stream::begin_recording() {
  if (synchronous_) return false;
  check(cudaStreamBeginCapture(get(), cudaStreamCaptureModeThreadLocal), "recording a step");
  is_recording_ = true;
  return true;
}

cudaGraphExec_t Stream::end_recording() {
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t executable = nullptr;
  is_recording_ = false;
  check(cudaStreamEndCapture(lanes_[kMain].stream, &graph), "recording a step");
  const cudaError_t status = cudaGraphInstantiate(&executable, graph, 0);
  cudaGraphDestroy(graph);
  check(status, "recording a step");
  return executable;
}

// Whatever state the recording is in, the streams leave it.
void Stream::abandon_recording() noexcept {
  is_recording_ = false;
  cudaGraph_t graph = nullptr;
  static_cast<void>(cudaStreamEndCapture(lanes_[kMain].stream, &graph));
  if (graph) static_cast<void>(cudaGraphDestroy(graph));
  static_cast<void>(cudaGetLastError());
  for (LaneState& lane : lanes_) lane.is_forked = false;
}

void Stream::launched(std::string_view kernel) {
  check(cudaGetLastError(), kernel);
  if (synchronous_) check(cudaStreamSynchronize(get()), kernel);
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
void fill_zero(const Context& ctx, void* data, size_t bytes, size_t rows, size_t stride) {
  const cudaStream_t stream = stream_of(ctx).get();
  check(rows == 1 ? cudaMemsetAsync(data, 0, bytes, stream)
                  : cudaMemset2DAsync(data, stride, 0, bytes, rows, stream),
        "clearing memory");
}
void synchronize(const Context& ctx) { stream_of(ctx).synchronize(); }
int64_t available(int index) {
  check(cudaSetDevice(index), "choosing a device");
  size_t left = 0, total = 0;
  check(cudaMemGetInfo(&left, &total), "reading the memory that is free");
  return static_cast<int64_t>(left);
}

void* create_stream(int index, size_t upload_bytes) { return new Stream(index, upload_bytes); }
void release_stream(void* stream) { delete static_cast<Stream*>(stream); }
bool begin_recording(const Context& ctx) { return stream_of(ctx).begin_recording(); }
void* end_recording(const Context& ctx) { return stream_of(ctx).end_recording(); }
void abandon_recording(const Context& ctx) noexcept { stream_of(ctx).abandon_recording(); }
void replay(const Context& ctx, void* graph) {
  check(cudaGraphLaunch(static_cast<cudaGraphExec_t>(graph), stream_of(ctx).get()), "replaying a step");
}
Lane step_aside(const Context& ctx, Lane lane) {
  return static_cast<Lane>(stream_of(ctx).step_aside(static_cast<Stream::Lane>(lane)));
}
void step_back(const Context& ctx, Lane lane) { stream_of(ctx).step_back(static_cast<Stream::Lane>(lane)); }
void join_aside(const Context& ctx, Lane lane) { stream_of(ctx).join(static_cast<Stream::Lane>(lane)); }
void release_graph(void* graph) { cudaGraphExecDestroy(static_cast<cudaGraphExec_t>(graph)); }

}  // namespace
}  // namespace cuda

void register_device_cuda() {
  register_memory_backend(Backend::cuda,
                          {cuda::allocate, cuda::release, cuda::copy_to_device, cuda::copy_to_host,
                           cuda::fill_zero, cuda::synchronize, cuda::available});
  register_stream_backend(
      Backend::cuda, {cuda::create_stream, cuda::release_stream, cuda::begin_recording, cuda::end_recording,
                      cuda::abandon_recording, cuda::replay, cuda::release_graph, cuda::step_aside,
                      cuda::step_back, cuda::join_aside});
}

}  // namespace ctr
