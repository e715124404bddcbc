// SPDX-License-Identifier: Apache-2.0
#include "kernels/sort.cuh"

#include <cub/device/device_radix_sort.cuh>

namespace ctr::cuda {

size_t sort_pairs_bytes(int64_t n) {
  size_t bytes = 0;
  uint32_t* none = nullptr;
  check(cub::DeviceRadixSort::SortPairs(nullptr, bytes, none, none, none, none, n), "sizing a sort");
  return bytes;
}

void sort_pairs(const Context& ctx, uint32_t* keys, uint32_t* values, uint32_t* sorted_keys,
                uint32_t* sorted_values, int64_t n, int bits, void* scratch, size_t scratch_bytes) {
  Stream& stream = stream_of(ctx);
  check(cub::DeviceRadixSort::SortPairs(scratch, scratch_bytes, keys, sorted_keys, values, sorted_values, n,
                                        0, bits, stream.get()),
        "sort_pairs");
  stream.launched("sort_pairs");
}

}  // namespace ctr::cuda
