// SPDX-License-Identifier: Apache-2.0
#include "device/buffer.h"

#include <sys/mman.h>

#include <cstdlib>
#include <cstring>

#include "base/error.h"

namespace ctr {

Buffer::Buffer(Device device, size_t bytes, std::string_view what) : bytes_(bytes) {
  if (device.backend != Backend::cpu)
    fail(ErrorKind::unsupported, "{}: no memory back end for {}", what, to_string(device));
  if (bytes == 0) return;
  constexpr size_t kLine = 64, kHugePage = size_t{2} << 20;
  const size_t alignment = bytes >= kHugePage ? kHugePage : kLine;
  const size_t rounded = (bytes + alignment - 1) / alignment * alignment;
  void* p = rounded < bytes ? nullptr : std::aligned_alloc(alignment, rounded);
  if (!p) fail(ErrorKind::out_of_memory, "{}: cannot allocate {} bytes on {}", what, bytes, to_string(device));
  if (alignment == kHugePage) madvise(p, rounded, MADV_HUGEPAGE);
  std::memset(p, 0, rounded);
  data_ = {static_cast<std::byte*>(p), [](std::byte* q) { std::free(q); }};
}

}  // namespace ctr
