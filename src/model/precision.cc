// SPDX-License-Identifier: Apache-2.0
#include "model/precision.h"

#include <algorithm>
#include <bit>
#include <map>
#include <mutex>

#include "base/error.h"
#include "base/log.h"
#include "kernels/gemm.h"
#include "model/graph.h"

namespace ctr {
namespace {

// By this factor bf16 products have to be faster. They pay for the conversions around them; and a measurement
// that the rest of the machine disturbs must not choose differently for two runs from one seed.
constexpr double kMargin = 1.25;
// Multiplications of the smallest product that is measured.
constexpr int64_t kSmall = int64_t{1} << 20;

// Once a process: models that are compared, or go on from each other's files, compute alike.
GemmSeconds measured_once(const ProductShape& shape) {
  static std::mutex mutex;
  static std::map<ProductShape, GemmSeconds> measured;
  const std::lock_guard lock(mutex);
  const auto found = measured.find(shape);
  if (found != measured.end()) return found->second;
  return measured.emplace(shape, measure_gemm(shape.m, shape.n, shape.k)).first->second;
}

std::string text(const ProductShape& s) { return fmt::format("{} x {} x {}", s.m, s.n, s.k); }

void report(const Precision& chosen, bool by_name) {
  if (chosen.type == DType::bf16)
    log::info("Mixed precision on the CPU: bf16 activations and matrix products, fp32 weights and sums: {}",
              chosen.reason);
  else if (by_name)
    log::warning("Mixed precision on the CPU: computing in fp32: {}", chosen.reason);
  else
    log::info("Mixed precision on the CPU: computing in fp32: {}", chosen.reason);
}

}  // namespace

ProductShape largest_product(const ModelSpec& spec) {
  ProductShape largest{0, 0, 0};
  const auto size = [](const ProductShape& s) {
    return static_cast<double>(s.m) * static_cast<double>(s.n) * static_cast<double>(s.k);
  };
  const Graph graph = build_graph(spec, spec.solver.batch_size);
  for (const Node& node : graph.nodes)
    for (const WeightDef& weight : node.shapes.weights) {
      if (!weight.in_compute_type) continue;
      const ProductShape product{node.shapes.outputs[0].shape.rows(), weight.shape[1], weight.shape[0]};
      if (size(product) > size(largest)) largest = product;
    }
  return largest;
}

ProductShape class_of(const ProductShape& shape) {
  const auto at_most = [](int64_t n, uint64_t most) {
    return static_cast<int64_t>(std::min(std::bit_floor(static_cast<uint64_t>(n)), most));
  };
  return {at_most(shape.m, 128), at_most(shape.n, 256), at_most(shape.k, 256)};
}

Precision mixed_precision_on_cpu(const std::string& wanted, const char* instructions,
                                 const ProductShape& largest, const MeasureGemm& measure) {
  if (wanted == "fp16")
    fail(ErrorKind::unsupported, "mixed_precision_type=\"fp16\" needs a GPU; a CPU computes in bf16");
  if (!instructions) return {DType::f32, "this CPU or build has no bf16 matrix instructions"};
  if (wanted == "bf16")
    return {DType::bf16, fmt::format("mixed_precision_type=\"bf16\" asks for it ({})", instructions)};
  const ProductShape shape = class_of(largest);
  if (shape.m * shape.n * shape.k < kSmall)
    return {DType::f32,
            fmt::format("products of at most {} are too small for {} to pay", text(largest), instructions)};
  const GemmSeconds seconds = measure(shape);
  const std::string times =
      fmt::format("products of {}, in place of {}, take {:.3f} ms in fp32 and {:.3f} ms in bf16 ({})",
                  text(shape), text(largest), 1e3 * seconds.f32, 1e3 * seconds.bf16, instructions);
  if (seconds.f32 >= kMargin * seconds.bf16) return {DType::bf16, times};
  return {DType::f32, times + "; mixed_precision_type=\"bf16\" forces bf16"};
}

DType compute_type(const ModelSpec& spec, Device device) {
  const SolverSpec& solver = spec.solver;
  if (!solver.use_mixed_precision) return DType::f32;
  const std::string& wanted = solver.mixed_precision_type;
  if (device.backend == Backend::cuda) return wanted == "bf16" ? DType::bf16 : DType::f16;
  const Precision chosen =
      mixed_precision_on_cpu(wanted, bf16_instructions(), largest_product(spec), measured_once);
  report(chosen, wanted == "bf16");
  return chosen.type;
}

}  // namespace ctr
