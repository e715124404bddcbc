// SPDX-License-Identifier: Apache-2.0
#include "kernels/serial_gemm.h"

#include <algorithm>

#include "base/error.h"
#include "kernels/gemm.h"
#include "kernels/small_gemm.h"

#ifdef CTR_WITH_ONEDNN
#include <omp.h>

#include <array>
#include <dnnl.hpp>

#include "base/lru.h"
#endif

namespace ctr {
namespace {

#ifdef CTR_WITH_ONEDNN

// oneDNN would take a team from OpenMP and split long sums by thread count; ours never does, and is as fast.
class OneThread {
 public:
  OneThread() { omp_set_num_threads(1); }
  ~OneThread() { omp_set_num_threads(threads_); }
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;

 private:
  int threads_ = omp_get_max_threads();
};

void product(const GemmProblem<float, float>& p) {
  const OneThread one_thread;
  const dnnl_status_t status =
      dnnl_sgemm(p.transpose_a ? 'T' : 'N', p.transpose_b ? 'T' : 'N', p.m, p.n, p.k, 1.0f, p.a, p.lda, p.b,
                 p.ldb, p.accumulate ? 1.0f : 0.0f, p.c, p.ldc);
  if (status != dnnl_success)
    fail(ErrorKind::internal, "oneDNN sgemm failed with status {}", static_cast<int>(status));
}

// A product of one shape, compiled by oneDNN.
class Matmul {
 public:
  template <class C>
  Matmul(const dnnl::engine& engine, const GemmProblem<bf16, C>& p) {
    using dnnl::memory;
    constexpr auto kBf16 = memory::data_type::bf16, kF32 = memory::data_type::f32;
    const auto strides = [](bool transposed, int64_t ld) {
      return transposed ? memory::dims{1, ld} : memory::dims{ld, 1};
    };
    const memory::desc a({p.m, p.k}, kBf16, strides(p.transpose_a, p.lda));
    const memory::desc b({p.k, p.n}, kBf16, strides(p.transpose_b, p.ldb));
    const memory::desc c({p.m, p.n}, std::is_same_v<C, float> ? kF32 : kBf16, strides(false, p.ldc));
    const memory::desc bias = p.bias ? memory::desc({1, p.n}, kF32, strides(false, p.n)) : memory::desc();
    dnnl::post_ops chain;
    if (p.accumulate) chain.append_sum();
#if DNNL_VERSION_MAJOR >= 3
    if (p.relu) chain.append_eltwise(dnnl::algorithm::eltwise_relu, 0, 0);
#else
    if (p.relu) chain.append_eltwise(1, dnnl::algorithm::eltwise_relu, 0, 0);
#endif
    dnnl::primitive_attr attributes;
    attributes.set_post_ops(chain);
#if DNNL_VERSION_MAJOR >= 3
    primitive_ = dnnl::matmul({engine, a, b, bias, c, attributes});
#else
    primitive_ = dnnl::matmul({dnnl::matmul::desc(a, b, bias, c), attributes, engine});
#endif
    arguments_ = {{DNNL_ARG_SRC, {a, engine, nullptr}},
                  {DNNL_ARG_WEIGHTS, {b, engine, nullptr}},
                  {DNNL_ARG_DST, {c, engine, nullptr}}};
    if (p.bias) arguments_.emplace(DNNL_ARG_BIAS, memory(bias, engine, nullptr));
  }

  template <class C>
  void execute(const dnnl::stream& stream, const GemmProblem<bf16, C>& p) {
    arguments_.at(DNNL_ARG_SRC).set_data_handle(const_cast<bf16*>(p.a));
    arguments_.at(DNNL_ARG_WEIGHTS).set_data_handle(const_cast<bf16*>(p.b));
    arguments_.at(DNNL_ARG_DST).set_data_handle(p.c);
    if (p.bias) arguments_.at(DNNL_ARG_BIAS).set_data_handle(const_cast<float*>(p.bias));
    primitive_.execute(stream, arguments_);
  }

 private:
  dnnl::matmul primitive_;
  std::unordered_map<int, dnnl::memory> arguments_;
};

// The shapes that one thread has met: oneDNN's scratch memory belongs to the thread that makes a primitive.
class MatmulCache {
 public:
  template <class C>
  void multiply(const GemmProblem<bf16, C>& p) {
    const int64_t kind = p.transpose_a | p.transpose_b << 1 | p.accumulate << 2 | p.relu << 3 |
                         (p.bias != nullptr) << 4 | std::is_same_v<C, float> << 5;
    const Key key{p.m, p.n, p.k, p.lda, p.ldb, p.ldc, kind};
    Matmul* matmul = shapes_.find(key);
    if (!matmul)
      matmul = &shapes_.add(
          key, [](const Matmul&) { return false; }, engine_, p);
    matmul->execute(stream_, p);
  }

 private:
  using Key = std::array<int64_t, 7>;
  static constexpr size_t kMaxShapes = 1024;

  dnnl::engine engine_{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream_{engine_};
  LruCache<Key, Matmul> shapes_{kMaxShapes};
};

template <class C>
void product(const GemmProblem<bf16, C>& p) {
  // A whole transposed matrix and a part of it take two ways through oneDNN, with sums in two orders. Always
  // by parts, then.
  if (p.transpose_a && p.m == p.lda && p.m > kGemmUnit) {
    const int64_t half = (p.m / 2 + kGemmUnit - 1) / kGemmUnit * kGemmUnit;
    product(rows_of(p, 0, half));
    return product(rows_of(p, half, p.m));
  }
  const OneThread one_thread;
  thread_local MatmulCache cache;
  try {
    cache.multiply(p);
  } catch (const dnnl::error& e) {
    fail(ErrorKind::internal, "oneDNN matmul {} x {} x {} failed: {}", p.m, p.n, p.k, e.what());
  }
}

#else

constexpr int64_t kBlock = 128;

// Packs blocks of both operands to row-major panels that fit the cache.
void product(const GemmProblem<float, float>& p) {
  float a[kBlock * kBlock], b[kBlock * kBlock];
  for (int64_t k0 = 0; k0 < p.k; k0 += kBlock)
    for (int64_t j0 = 0; j0 < p.n; j0 += kBlock) {
      const int64_t k = std::min(kBlock, p.k - k0), n = std::min(kBlock, p.n - j0);
      for (int64_t q = 0; q < k; ++q)
        for (int64_t j = 0; j < n; ++j) b[q * kBlock + j] = *p.b_at(k0 + q, j0 + j);
      for (int64_t i0 = 0; i0 < p.m; i0 += kBlock) {
        const int64_t m = std::min(kBlock, p.m - i0);
        for (int64_t i = 0; i < m; ++i)
          for (int64_t q = 0; q < k; ++q) a[i * kBlock + q] = *p.a_at(i0 + i, k0 + q);
        small_gemm(m, n, k, a, kBlock, b, kBlock, p.c + i0 * p.ldc + j0, p.ldc, p.accumulate || k0 > 0);
      }
    }
}

#endif

}  // namespace

void serial_gemm(const GemmProblem<float, float>& p) {
  product(p);
  if (!p.bias && !p.relu) return;
  for (int64_t i = 0; i < p.m; ++i)
    for (int64_t j = 0; j < p.n; ++j) p.c[i * p.ldc + j] = p.epilogue(p.c[i * p.ldc + j], j);
}

#ifdef CTR_WITH_ONEDNN

void serial_gemm(const GemmProblem<bf16, float>& p) { product(p); }
void serial_gemm(const GemmProblem<bf16, bf16>& p) { product(p); }

const char* bf16_instructions() {
  const auto usable = static_cast<unsigned>(dnnl::get_effective_cpu_isa());
  const auto has = [usable](dnnl::cpu_isa isa) {
    const auto set = static_cast<unsigned>(isa);
    return (usable & set) == set;
  };
  if (has(dnnl::cpu_isa::avx512_core_amx)) return "AMX";
  return has(dnnl::cpu_isa::avx512_core_bf16) ? "AVX512-BF16" : nullptr;
}

#else

const char* bf16_instructions() { return nullptr; }

#endif

}  // namespace ctr
