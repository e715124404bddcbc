// SPDX-License-Identifier: Apache-2.0
#include "kernels/gemm.h"

#include <fmt/core.h>

#include <vector>

#include "bench.h"

#ifdef CTR_WITH_ONEDNN
#include <dnnl.hpp>
#endif

namespace ctr::bench {
namespace {

struct Case {
  int64_t m, n, k;
  std::vector<float> a = std::vector<float>(static_cast<size_t>(m * k), 0.5f);
  std::vector<float> b = std::vector<float>(static_cast<size_t>(k * n), 0.25f);
  std::vector<float> c = std::vector<float>(static_cast<size_t>(m * n));
  double gflop() const {
    return 2e-9 * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k);
  }
};

#ifdef CTR_WITH_ONEDNN
// What the machine can do: the library's two entry points with its own threads.
void library_rates(Case& x) {
  const double sgemm = best_seconds([&] {
    dnnl_sgemm('N', 'N', x.m, x.n, x.k, 1.0f, x.a.data(), x.k, x.b.data(), x.n, 0.0f, x.c.data(), x.n);
  });
  row("oneDNN sgemm", sgemm, x.gflop(), "GFLOP");

  using dnnl::memory;
  const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  dnnl::stream stream(engine);
  const auto plain = [](int64_t rows, int64_t columns) {
    return memory::desc({rows, columns}, memory::data_type::f32, memory::format_tag::ab);
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
  const double time = best_seconds([&] {
    matmul.execute(stream, arguments);
    stream.wait();
  });
  row("oneDNN matmul", time, x.gflop(), "GFLOP");
}
#else
void library_rates(Case&) {}
#endif

void own_rates(Context& ctx, Case& x) {
  const Tensor a(DType::f32, {x.m, x.k}, x.a.data()), b(DType::f32, {x.k, x.n}, x.b.data());
  const Tensor c(DType::f32, {x.m, x.n}, x.c.data());
  row("gemm: y = x w", best_seconds([&] { gemm(ctx, a, b, c, {}); }), x.gflop(), "GFLOP");
  row("gemm: d_x = d_y w^T", best_seconds([&] { gemm(ctx, c, b, a, {.transpose_b = true}); }), x.gflop(),
      "GFLOP");
  row("gemm: d_w = x^T d_y", best_seconds([&] { gemm(ctx, a, c, b, {.transpose_a = true}); }), x.gflop(),
      "GFLOP");
}

}  // namespace

void gemm_rates(int threads) {
  Context ctx;
  ctx.threads = threads;
  constexpr int64_t kShapes[][3] = {{2048, 1024, 1024}, {2048, 1024, 429}, {2048, 400, 400}, {2048, 512, 13}};
  for (const auto& [m, n, k] : kShapes) {
    heading(fmt::format("float matrix product {} x {} x {}", m, n, k));
    Case x{m, n, k};
    library_rates(x);
    own_rates(ctx, x);
  }
}

}  // namespace ctr::bench
