// SPDX-License-Identifier: Apache-2.0
#include "kernels/kernel.h"

namespace ctr {

void fail_no_kernel(std::string_view name, Device device, DType dtype) {
  fail(ErrorKind::unsupported, "{}: no kernel for {} on {}", name, name_of(dtype), to_string(device));
}

}  // namespace ctr
