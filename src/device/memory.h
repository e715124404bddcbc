// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <vector>

#include "base/tensor.h"
#include "device/context.h"

namespace ctr {

// What a back end's memory can do. The CPU's is built in; a device back end registers its own when it is
// loaded.
struct MemoryBackend {
  void* (*allocate)(int index,
                    size_t bytes);  // zeroed, aligned to 256 bytes at least; null when out of memory
  void (*release)(int index, void* data);
  // In stream order of ctx. Host memory may be reused when the call returns.
  void (*copy_to_device)(const Context& ctx, void* to, const void* host, size_t bytes);
  void (*copy_to_host)(const Context& ctx, void* host, const void* from, size_t bytes);  // waits for the data
  // `rows` times `bytes`, each `stride` bytes behind the one before.
  void (*fill_zero)(const Context& ctx, void* data, size_t bytes, size_t rows, size_t stride);
  void (*synchronize)(const Context& ctx);
  int64_t (*available)(int index);  // bytes that can still be taken
};

void register_memory_backend(Backend backend, const MemoryBackend& functions);
bool has_backend(Backend backend);
const MemoryBackend& memory_backend(Device device);  // throws unsupported

// Packed tensors only.
void copy_to_device(const Context& ctx, const Tensor& to, const void* host);
void copy_to_host(const Context& ctx, void* host, const Tensor& from);
// Any float type, widened.
std::vector<float> to_host(const Context& ctx, const Tensor& from);
// Of any tensor.
void fill_zero(const Context& ctx, const Tensor& t);

}  // namespace ctr
