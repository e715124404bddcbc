// SPDX-License-Identifier: Apache-2.0
#include "device/memory.h"

#include <sys/mman.h>

#include <cstdlib>
#include <cstring>

namespace ctr {
namespace {

// Blocks of 2 MiB and more ask for huge pages.
void* allocate_host(int, size_t bytes) {
  constexpr size_t kAlignment = 256, kHugePage = size_t{2} << 20;
  const size_t alignment = bytes >= kHugePage ? kHugePage : kAlignment;
  const size_t rounded = (bytes + alignment - 1) / alignment * alignment;
  void* p = rounded < bytes ? nullptr : std::aligned_alloc(alignment, rounded);
  if (!p) return nullptr;
  if (alignment == kHugePage) madvise(p, rounded, MADV_HUGEPAGE);
  std::memset(p, 0, rounded);
  return p;
}

MemoryBackend& backend(Backend b) {
  static MemoryBackend backends[kNumBackends] = {
      {allocate_host, [](int, void* p) { std::free(p); },
       [](const Context&, void* to, const void* from, size_t n) { std::memcpy(to, from, n); },
       [](const Context&, void* to, const void* from, size_t n) { std::memcpy(to, from, n); },
       [](const Context&, void* to, size_t n) { std::memset(to, 0, n); }, [](const Context&) {}}};
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

}  // namespace ctr
