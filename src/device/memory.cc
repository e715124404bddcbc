// SPDX-License-Identifier: Apache-2.0
#include "device/memory.h"

#include <sys/mman.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "device/host_memory.h"

namespace ctr {
namespace {

// Blocks of 2 MiB and more ask for huge pages. Large blocks of calloc are fresh pages of the system: they
// cost memory only where they are touched, so that a block may be sized for a limit that is never reached.
void* allocate_host(int, size_t bytes) {
  constexpr size_t kAlignment = 256, kPage = 4096, kHugePage = size_t{2} << 20;
  const size_t alignment = bytes >= kHugePage ? kHugePage : kAlignment;
  const size_t padded = bytes + alignment + sizeof(void*);
  void* base = padded < bytes ? nullptr : std::calloc(padded, 1);
  if (!base) return nullptr;
  auto* data = static_cast<std::byte*>(base) + sizeof base;
  data += -reinterpret_cast<uintptr_t>(data) % alignment;
  if (alignment == kHugePage) madvise(data, bytes / kPage * kPage, MADV_HUGEPAGE);
  std::memcpy(data - sizeof base, &base, sizeof base);  // for release_host
  return data;
}

void release_host(int, void* data) {
  void* base;
  std::memcpy(&base, static_cast<std::byte*>(data) - sizeof base, sizeof base);
  std::free(base);
}

// Empty tensors may have no address, which the C functions do not take.
void copy_host(const Context&, void* to, const void* from, size_t bytes) {
  if (bytes > 0) std::memcpy(to, from, bytes);
}
void zero_host(const Context&, void* to, size_t bytes, size_t rows, size_t stride) {
  for (size_t r = 0; r < rows && bytes > 0; ++r)
    std::memset(static_cast<std::byte*>(to) + r * stride, 0, bytes);
}

void require_packed(const Tensor& t) {
  if (!t.is_packed())
    fail(ErrorKind::internal, "a tensor {} in runs of {} was to be copied whole", to_string(t.shape()),
         t.runs().length);
}

MemoryBackend& backend(Backend b) {
  static MemoryBackend backends[kNumBackends] = {{allocate_host, release_host, copy_host, copy_host,
                                                  zero_host, [](const Context&) {},
                                                  [](int) { return available_host_memory(); }}};
  return backends[static_cast<int>(b)];
}

}  // namespace

void register_memory_backend(Backend b, const MemoryBackend& functions) { backend(b) = functions; }
bool has_backend(Backend b) { return backend(b).allocate != nullptr; }

const MemoryBackend& memory_backend(Device device) {
  if (!has_backend(device.backend))
    fail(ErrorKind::unsupported, "the {} back end is not loaded",
         device.backend == Backend::cuda ? "CUDA" : "CPU");
  return backend(device.backend);
}

void copy_to_device(const Context& ctx, const Tensor& to, const void* host) {
  require_packed(to);
  memory_backend(ctx.device).copy_to_device(ctx, to.raw(), host, to.bytes());
}

void copy_to_host(const Context& ctx, void* host, const Tensor& from) {
  require_packed(from);
  memory_backend(ctx.device).copy_to_host(ctx, host, from.raw(), from.bytes());
}

void fill_zero(const Context& ctx, const Tensor& t) {
  const Tensor::Runs runs = t.runs();
  if (runs.length == 0) return;
  const size_t size = size_of(t.dtype()), rows = static_cast<size_t>(t.numel() / runs.length);
  memory_backend(ctx.device)
      .fill_zero(ctx, t.raw(), static_cast<size_t>(runs.length) * size, rows,
                 static_cast<size_t>(runs.stride) * size);
}

std::vector<float> to_host(const Context& ctx, const Tensor& from) {
  const auto n = static_cast<size_t>(from.numel());
  std::vector<float> host(n);
  auto widen = [&]<class T>(std::vector<T> narrow) {
    copy_to_host(ctx, narrow.data(), from);
    for (size_t i = 0; i < n; ++i) host[i] = to_float(narrow[i]);
  };
  switch (from.dtype()) {
    case DType::f32: copy_to_host(ctx, host.data(), from); break;
    case DType::bf16: widen(std::vector<bf16>(n)); break;
    case DType::f16: widen(std::vector<f16>(n)); break;
    default: fail(ErrorKind::internal, "to_host: {} is not a float type", name_of(from.dtype()));
  }
  return host;
}

}  // namespace ctr
