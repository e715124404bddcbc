// SPDX-License-Identifier: Apache-2.0
#include "kernels/gemm.h"

#include <fmt/core.h>

#include <array>
#include <vector>

#include "bench.h"
#include "layers/inner_product.h"

#ifdef CTR_WITH_ONEDNN
#include <dnnl.hpp>
#endif

namespace ctr::bench {
namespace {

template <class T>
std::vector<T> filled(int64_t n, float value) {
  return std::vector<T>(static_cast<size_t>(n), from_float<T>(value));
}

template <class T>
struct Case {
  int64_t m, n, k;
  std::vector<T> a = filled<T>(m * k, 0.5f), b = filled<T>(k * n, 0.25f), c = filled<T>(m * n, 0);
  std::vector<float> d_w = filled<float>(k * n, 0);
  double gflop() const {
    return 2e-9 * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k);
  }
};

#ifdef CTR_WITH_ONEDNN
// What the machine can do: the library's entry points with its own threads.
template <class T>
void library_rates(Case<T>& x) {
  if constexpr (std::is_same_v<T, float>) {
    const Seconds sgemm = time_runs([&] {
      dnnl_sgemm('N', 'N', x.m, x.n, x.k, 1.0f, x.a.data(), x.k, x.b.data(), x.n, 0.0f, x.c.data(), x.n);
    });
    row("oneDNN sgemm", sgemm, x.gflop(), "GFLOP");
  }
  using dnnl::memory;
  const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  dnnl::stream stream(engine);
  const auto plain = [](int64_t rows, int64_t columns) {
    constexpr auto kType = std::is_same_v<T, float> ? memory::data_type::f32 : memory::data_type::bf16;
    return memory::desc({rows, columns}, kType, memory::format_tag::ab);
  };
  const auto a = plain(x.m, x.k), b = plain(x.k, x.n), c = plain(x.m, x.n);
#if DNNL_VERSION_MAJOR >= 3
  const dnnl::matmul matmul(dnnl::matmul::primitive_desc(engine, a, b, c));
#else
  const dnnl::matmul matmul(dnnl::matmul::primitive_desc(dnnl::matmul::desc(a, b, c), engine));
#endif
  const std::unordered_map<int, memory> arguments = {{DNNL_ARG_SRC, {a, engine, x.a.data()}},
                                                     {DNNL_ARG_WEIGHTS, {b, engine, x.b.data()}},
                                                     {DNNL_ARG_DST, {c, engine, x.c.data()}}};
  const Seconds time = time_runs([&] {
    matmul.execute(stream, arguments);
    stream.wait();
  });
  row("oneDNN matmul", time, x.gflop(), "GFLOP");
}
#else
template <class T>
void library_rates(Case<T>&) {}
#endif

template <class T>
void rates(Context& ctx, int64_t m, int64_t n, int64_t k) {
  heading(fmt::format("{} matrix product {} x {} x {}", name_of(dtype_of<T>), m, n, k));
  Case<T> x{m, n, k};
  library_rates(x);
  const Tensor a(dtype_of<T>, {m, k}, x.a.data()), b(dtype_of<T>, {k, n}, x.b.data());
  const Tensor c(dtype_of<T>, {m, n}, x.c.data()), d_w(DType::f32, {k, n}, x.d_w.data());
  row("gemm: y = x w", time_runs([&] { gemm(ctx, a, b, c, {}); }), x.gflop(), "GFLOP");
  row("gemm: d_x = d_y w^T", time_runs([&] { gemm(ctx, c, b, a, {.transpose_b = true}); }), x.gflop(),
      "GFLOP");
  row("gemm: d_w = x^T d_y", time_runs([&] { gemm(ctx, a, c, d_w, {.transpose_a = true}); }), x.gflop(),
      "GFLOP");
  const Tensor d_bias(DType::f32, {n}, x.d_w.data());
  row("d_z and d_b of a ReLU", time_runs([&] { relu_bias_backward(ctx, c, c, d_bias); }),
      3e-9 * static_cast<double>(m * n * static_cast<int64_t>(sizeof(T))), "GB");
}

void gemm_shapes(int threads, std::initializer_list<std::array<int64_t, 3>> shapes) {
  Context ctx;
  ctx.threads = threads;
  for (const auto& [m, n, k] : shapes) rates<float>(ctx, m, n, k);
  if (!bf16_instructions()) return;
  for (const auto& [m, n, k] : shapes) rates<bf16>(ctx, m, n, k);
}

}  // namespace

void gemm_ceilings(int threads) { gemm_shapes(threads, {{2048, 1024, 1024}}); }

void gemm_rates(int threads) {
  gemm_shapes(threads, {{2048, 1024, 429}, {2048, 400, 400}, {2048, 512, 13}, {2048, 1, 1024}});
}

}  // namespace ctr::bench
