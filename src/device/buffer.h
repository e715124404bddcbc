// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory>
#include <string_view>

#include "device/device.h"

namespace ctr {

// Owns one block of device memory, aligned to 64 bytes and zeroed. Blocks of 2 MiB and more ask for huge
// pages and cost memory only where they are touched, so a block may be sized for a limit that is never
// reached.
class Buffer {
 public:
  Buffer() = default;
  // `what` names the memory in the error when there is not enough of it.
  Buffer(Device device, size_t bytes, std::string_view what);
  Buffer(Buffer&&) noexcept = default;
  Buffer& operator=(Buffer&&) noexcept = default;

  std::byte* data() const { return data_.get(); }
  size_t bytes() const { return bytes_; }

 private:
  struct Release {
    size_t mapped;  // bytes to unmap; 0 for memory of the allocator
    void operator()(std::byte* p) const;
  };
  std::unique_ptr<std::byte, Release> data_;
  size_t bytes_ = 0;
};

}  // namespace ctr
