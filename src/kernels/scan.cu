// SPDX-License-Identifier: Apache-2.0
#include "kernels/scan.cuh"

#include <cub/device/device_scan.cuh>

namespace ctr::cuda {

size_t inclusive_sum_bytes(int64_t n) {
  size_t bytes = 0;
  check(cub::DeviceScan::InclusiveSum(nullptr, bytes, static_cast<const uint32_t*>(nullptr),
                                      static_cast<uint32_t*>(nullptr), n),
        "sizing a scan");
  return bytes;
}

void inclusive_sum(const Context& ctx, const uint32_t* x, uint32_t* sums, int64_t n, void* scratch,
                   size_t scratch_bytes) {
  Stream& stream = stream_of(ctx);
  check(cub::DeviceScan::InclusiveSum(scratch, scratch_bytes, x, sums, n, stream.get()), "inclusive_sum");
  stream.launched("inclusive_sum");
}

}  // namespace ctr::cuda
