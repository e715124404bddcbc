// SPDX-License-Identifier: Apache-2.0
#include "device/buffer.h"

#include <sys/mman.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "base/error.h"

namespace ctr {
namespace {

constexpr size_t kLine = 64, kHugePage = size_t{2} << 20;

size_t round_up(size_t bytes, size_t unit) { return (bytes + unit - 1) / unit * unit; }

// Zero pages aligned to huge pages: maps one huge page too much and gives the ends back. Null when refused.
std::byte* map_pages(size_t bytes) {
  const size_t wide = bytes + kHugePage;
  void* p = mmap(nullptr, wide, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED) return nullptr;
  auto* first = static_cast<std::byte*>(p);
  const auto address = reinterpret_cast<uintptr_t>(p);
  const size_t head = round_up(address, kHugePage) - address, tail = kHugePage - head;
  if (head) munmap(first, head);
  if (tail) munmap(first + head + bytes, tail);
  madvise(first + head, bytes, MADV_HUGEPAGE);
  return first + head;
}

}  // namespace

Buffer::Buffer(Device device, size_t bytes, std::string_view what) : bytes_(bytes) {
  if (device.backend != Backend::cpu)
    fail(ErrorKind::unsupported, "{}: no memory back end for {}", what, to_string(device));
  if (bytes == 0) return;
  const bool large = bytes >= kHugePage;
  const size_t rounded = round_up(bytes, large ? kHugePage : kLine);
  std::byte* p = nullptr;
  if (rounded >= bytes && rounded + kHugePage > rounded)
    p = large ? map_pages(rounded) : static_cast<std::byte*>(std::aligned_alloc(kLine, rounded));
  if (!p)
    fail(ErrorKind::out_of_memory, "{}: cannot allocate {} bytes on {}", what, bytes, to_string(device));
  if (!large) std::memset(p, 0, rounded);
  data_ = {p, Release{large ? rounded : 0}};
}

void Buffer::Release::operator()(std::byte* p) const {
  if (mapped)
    munmap(p, mapped);
  else
    std::free(p);
}

}  // namespace ctr
