// SPDX-License-Identifier: Apache-2.0
#include "model/precision.h"

#include "base/error.h"
#include "base/log.h"
#include "kernels/gemm.h"

namespace ctr {

DType compute_type(const SolverSpec& solver, Device device) {
  if (!solver.use_mixed_precision) return DType::f32;
  const std::string& wanted = solver.mixed_precision_type;
  if (device.backend == Backend::cuda) return wanted == "bf16" ? DType::bf16 : DType::f16;
  if (wanted == "fp16")
    fail(ErrorKind::unsupported, "mixed_precision_type=\"fp16\" needs a GPU; a CPU computes in bf16");
  if (const char* instructions = bf16_instructions()) {
    log::info("Mixed precision on the CPU: bf16 activations and matrix products ({}), fp32 weights and sums",
              instructions);
    return DType::bf16;
  }
  log::info("Mixed precision: this CPU or build has no bf16 matrix instructions; computing in fp32");
  return DType::f32;
}

}  // namespace ctr
