// SPDX-License-Identifier: Apache-2.0
#include "device/buffer.h"

#include "device/memory.h"

namespace ctr {

Buffer::Buffer(Device device, size_t bytes, std::string_view what) : device_(device), bytes_(bytes) {
  if (bytes == 0) return;
  data_ = static_cast<std::byte*>(memory_backend(device).allocate(device.index, bytes));
  if (!data_)
    fail(ErrorKind::out_of_memory, "{}: cannot allocate {} bytes on {}", what, bytes, to_string(device));
}

Buffer::~Buffer() {
  if (data_) memory_backend(device_).release(device_.index, data_);
}

}  // namespace ctr
