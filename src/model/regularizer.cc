// SPDX-License-Identifier: Apache-2.0
#include "model/regularizer.h"

#include <cmath>

#include "base/parallel.h"
#include "base/vectorize.h"

namespace ctr {
namespace {

void value_cpu(Context&, const Tensor& weights, const Tensor& value, RegularizerTerm term, int64_t n) {
  const float* w = weights.data<float>();
  double sum = 0;
  for (int64_t i = 0; i < weights.numel(); ++i) sum += term.l2 ? 0.5 * w[i] * w[i] : std::fabs(w[i]);
  value.data<float>()[0] = static_cast<float>(sum * term.lambda / static_cast<double>(n));
}

CTR_VECTORIZE void add_l2(const float* w, float* g, int64_t n, float c) {
  for (int64_t i = 0; i < n; ++i) g[i] += c * w[i];
}
CTR_VECTORIZE void add_l1(const float* w, float* g, int64_t n, float c) {
  for (int64_t i = 0; i < n; ++i) g[i] += w[i] > 0 ? c : w[i] < 0 ? -c : 0.0f;
}

void gradient_cpu(Context& ctx, const Tensor& weights, const Tensor& gradient, RegularizerTerm term,
                  int64_t n) {
  const float* w = weights.data<float>();
  float* g = gradient.data<float>();
  const float c = ctx.step->loss_scale * term.lambda / static_cast<float>(n);
  parallel_for(ctx.threads, weights.numel(), 1 << 14, [&](int64_t begin, int64_t end) {
    (term.l2 ? add_l2 : add_l1)(w + begin, g + begin, end - begin, c);
  });
}

std::vector<RegularizerTerm> regularizers_of(const Graph& graph) {
  std::vector<RegularizerTerm> terms;
  for (const int loss : graph.losses) {
    RegularizerTerm& term = terms.emplace_back();
    const Params& p = graph.nodes[static_cast<size_t>(loss)].spec.params;
    if (!p.flag("use_regularizer")) continue;
    term = {p.text("regularizer_type") == "L2", p.real("lambda")};
  }
  return terms;
}

}  // namespace

using ValueKernel = Kernel<void(const Tensor&, const Tensor&, RegularizerTerm, int64_t)>;
using GradientKernel = Kernel<void(const Tensor&, const Tensor&, RegularizerTerm, int64_t)>;
constinit ValueKernel regularizer_value{"regularizer.value", ValueKernel::CpuSlot{DType::f32, value_cpu}};
constinit GradientKernel regularizer_gradient{"regularizer.gradient",
                                              GradientKernel::CpuSlot{DType::f32, gradient_cpu}};

Regularizers::Regularizers(const Context& ctx, const Graph& graph, int64_t rows)
    : terms_(regularizers_of(graph)), rows_(rows) {
  for (size_t label = 0; label < terms_.size(); ++label) values_.add(DType::f32, {1});
  values_.allocate(ctx.device);
}

void Regularizers::compute(Context& ctx, const Tensor& weights) const {
  for (size_t label = 0; label < terms_.size(); ++label)
    if (terms_[label].lambda != 0) regularizer_value(ctx, weights, value(label), terms_[label], rows_);
}

void Regularizers::add_gradients(Context& ctx, const Tensor& weights, const Tensor& gradients) const {
  for (const RegularizerTerm& term : terms_)
    if (term.lambda != 0) regularizer_gradient(ctx, weights, gradients, term, rows_);
}

}  // namespace ctr
