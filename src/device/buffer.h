// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string_view>
#include <utility>

#include "device/device.h"

namespace ctr {

// Owns one zeroed block of a device's memory. On a CPU a large block costs memory only where it is touched.
class Buffer {
 public:
  Buffer() = default;
  // `what` names the memory in the error when there is not enough of it.
  Buffer(Device device, size_t bytes, std::string_view what);
  ~Buffer();
  Buffer(Buffer&& other) noexcept { swap(other); }
  Buffer& operator=(Buffer&& other) noexcept {
    swap(other);
    return *this;
  }

  std::byte* data() const { return data_; }
  size_t bytes() const { return bytes_; }

 private:
  void swap(Buffer& other) noexcept {
    std::swap(device_, other.device_);
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
  }
  Device device_;
  std::byte* data_ = nullptr;
  size_t bytes_ = 0;
};

}  // namespace ctr
