// SPDX-License-Identifier: Apache-2.0
#include "layers/interaction.h"

#include <algorithm>

#include "base/parallel.h"
#include "kernels/small_gemm.h"
#include "kernels/storage.h"
#include "layers/layer.h"

namespace ctr {
namespace {

class Interaction final : public Layer {
 public:
  LayerShapes infer(std::span<const Shape> inputs) const override {
    const Shape &m = inputs[0], &f = inputs[1];
    require(m.rank() == 2 && f.rank() == 3 && m[0] == f[0] && m[1] == f[2],
            "needs inputs [batch, dim] and [batch, slots, dim], got {} and {}", to_string(m), to_string(f));
    return {.outputs = {{m[0], InteractionShape{f[0], f[1], f[2]}.width()}}};
  }
  void forward(Context& ctx, const LayerRun& run) const override {
    interaction_forward(ctx, run.x[0], run.x[1], run.y[0]);
  }
  void backward(Context& ctx, const LayerRun& run) const override {
    const auto wanted = [&](size_t i) { return run.wants(i) ? run.d_x[i] : Tensor(); };
    interaction_backward(ctx, run.x[0], run.x[1], run.d_y[0],
                         {wanted(0), wanted(1), run.accumulates(0), run.accumulates(1)});
  }
};

constexpr int64_t kGrain = 8;  // samples
// Pairs of rows are worked on in square blocks, dims in strips: everything a block needs stays in the nearest
// cache.
constexpr int64_t kBlock = 32, kStrip = 128;

InteractionShape shape_of(const Tensor& f) { return {f.shape()[0], f.shape()[1], f.shape()[2]}; }

// Row i of a sample.
template <class T>
struct SampleRows {
  const T *m, *f;
  int64_t dim;
  const T* operator[](int64_t i) const { return i == 0 ? m : f + (i - 1) * dim; }
};

// out[i, e] = z[i0 + i][e0 + e] for n rows and a strip of ne dims
template <class T>
void gather(const SampleRows<T>& z, int64_t i0, int64_t n, int64_t e0, int64_t ne, float* out) {
  for (int64_t i = 0; i < n; ++i) copy_as(z[i0 + i] + e0, ne, out + i * kStrip);
}

// columns[e, j] = rows[j, e], in blocks of 4 x 4: shuffles instead of single elements.
void transpose(const float* rows, int64_t n, int64_t ne, float* columns) {
  typedef float Four __attribute__((vector_size(16), aligned(4), may_alias));
  int64_t j = 0;
  for (; j + 4 <= n; j += 4) {
    int64_t e = 0;
    for (; e + 4 <= ne; e += 4) {
      Four in[4];
      for (int r = 0; r < 4; ++r) in[r] = *reinterpret_cast<const Four*>(rows + (j + r) * kStrip + e);
      const Four low01 = __builtin_shufflevector(in[0], in[1], 0, 4, 1, 5),
                 high01 = __builtin_shufflevector(in[0], in[1], 2, 6, 3, 7);
      const Four low23 = __builtin_shufflevector(in[2], in[3], 0, 4, 1, 5),
                 high23 = __builtin_shufflevector(in[2], in[3], 2, 6, 3, 7);
      float* out = columns + e * kBlock + j;
      *reinterpret_cast<Four*>(out) = __builtin_shufflevector(low01, low23, 0, 1, 4, 5);
      *reinterpret_cast<Four*>(out + kBlock) = __builtin_shufflevector(low01, low23, 2, 3, 6, 7);
      *reinterpret_cast<Four*>(out + 2 * kBlock) = __builtin_shufflevector(high01, high23, 0, 1, 4, 5);
      *reinterpret_cast<Four*>(out + 3 * kBlock) = __builtin_shufflevector(high01, high23, 2, 3, 6, 7);
    }
    for (; e < ne; ++e)
      for (int r = 0; r < 4; ++r) columns[e * kBlock + j + r] = rows[(j + r) * kStrip + e];
  }
  for (; j < n; ++j)
    for (int64_t e = 0; e < ne; ++e) columns[e * kBlock + j] = rows[j * kStrip + e];
}

// y[pair(i, j)] for i in [i0, i0 + kBlock), j in [j0, j0 + kBlock), j < i.
template <class T>
void forward_block(const InteractionShape& s, const SampleRows<T>& z, int64_t i0, int64_t j0, T* y) {
  const int64_t ni = std::min(kBlock, s.rows() - i0), nj = std::min(kBlock, s.rows() - j0);
  float rows[kBlock * kStrip], others[kBlock * kStrip], columns[kStrip * kBlock] = {};
  float products[kBlock * kBlock];
  for (int64_t e0 = 0; e0 < s.dim; e0 += kStrip) {
    const int64_t ne = std::min(kStrip, s.dim - e0);
    gather(z, i0, ni, e0, ne, rows);
    if (i0 != j0) gather(z, j0, nj, e0, ne, others);
    transpose(i0 == j0 ? rows : others, nj, ne, columns);
    small_gemm(ni, kBlock, ne, rows, kStrip, columns, kBlock, products, kBlock, e0 > 0);
  }
  for (int64_t i = std::max(i0, j0 + 1); i < i0 + ni; ++i)
    copy_as(products + (i - i0) * kBlock, std::min(nj, i - j0), y + s.pair(i, j0));
}

template <class T>
void forward_cpu(Context& ctx, const Tensor& m, const Tensor& f, const Tensor& y) {
  const InteractionShape s = shape_of(f);
  parallel_for(ctx.threads, s.batch, kGrain, [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; ++b) {
      const SampleRows<T> z{m.data<T>() + b * s.dim, f.data<T>() + b * s.slots * s.dim, s.dim};
      T* out = y.data<T>() + b * s.width();
      std::copy_n(z[0], s.dim, out);
      for (int64_t i0 = 0; i0 < s.rows(); i0 += kBlock)
        for (int64_t j0 = 0; j0 <= i0; j0 += kBlock) forward_block(s, z, i0, j0, out);
      out[s.width() - 1] = T{};
    }
  });
}

// d_z[i] = sum_j A[i, j] z[j] for a block of rows i and a strip of dims, A being the symmetric matrix of the
// pairs' gradients.
template <class T>
void backward_block(const InteractionShape& s, const SampleRows<T>& z, const T* g, int64_t i0, int64_t e0,
                    float* d_z) {
  const int64_t ni = std::min(kBlock, s.rows() - i0), ne = std::min(kStrip, s.dim - e0);
  float a[kBlock * kBlock], rows[kBlock * kStrip];
  for (int64_t j0 = 0; j0 < s.rows(); j0 += kBlock) {
    const int64_t nj = std::min(kBlock, s.rows() - j0);
    gather(z, j0, nj, e0, ne, rows);
    for (int64_t i = i0; i < i0 + ni; ++i) {
      float* row = a + (i - i0) * kBlock - j0;
      const int64_t below = std::clamp(i, j0, j0 + nj);
      for (int64_t j = j0; j < below; ++j) row[j] = to_float(g[s.pair(i, j)]);
      for (int64_t j = below; j < j0 + nj; ++j) row[j] = j == i ? 0 : to_float(g[s.pair(j, i)]);
    }
    small_gemm(ni, ne, nj, a, kBlock, rows, kStrip, d_z, kStrip, j0 > 0);
  }
}

template <class T>
void put(T* to, const float* from, int64_t n, bool accumulate) {
  with_accumulate(accumulate, [&](auto add) {
    for (int64_t i = 0; i < n; ++i) store<add()>(to[i], from[i]);
  });
}

template <class T>
void backward_sample(const InteractionShape& s, const SampleRows<T>& z, const T* g, T* d_m, T* d_f,
                     const InteractionGradient& out) {
  float d_z[kBlock * kStrip];
  for (int64_t i0 = 0; i0 < s.rows(); i0 += kBlock)
    for (int64_t e0 = 0; e0 < s.dim; e0 += kStrip) {
      const int64_t ne = std::min(kStrip, s.dim - e0);
      backward_block(s, z, g, i0, e0, d_z);
      for (int64_t i = i0; i < std::min(s.rows(), i0 + kBlock); ++i) {
        float* d = d_z + (i - i0) * kStrip;
        if (i > 0) {
          if (d_f) put(d_f + (i - 1) * s.dim + e0, d, ne, out.accumulate_f);
        } else if (d_m) {
          for (int64_t e = 0; e < ne; ++e) d[e] += to_float(g[e0 + e]);
          put(d_m + e0, d, ne, out.accumulate_m);
        }
      }
    }
}

template <class T>
void backward_cpu(Context& ctx, const Tensor& m, const Tensor& f, const Tensor& d_y,
                  const InteractionGradient& out) {
  const InteractionShape s = shape_of(f);
  parallel_for(ctx.threads, s.batch, kGrain, [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; ++b) {
      const SampleRows<T> z{m.data<T>() + b * s.dim, f.data<T>() + b * s.slots * s.dim, s.dim};
      backward_sample(s, z, d_y.data<T>() + b * s.width(), out.d_m ? out.d_m.data<T>() + b * s.dim : nullptr,
                      out.d_f ? out.d_f.data<T>() + b * s.slots * s.dim : nullptr, out);
    }
  });
}

}  // namespace

constinit decltype(interaction_forward) interaction_forward{
    "Interaction.forward", {DType::f32, forward_cpu<float>}, {DType::bf16, forward_cpu<bf16>}};
constinit decltype(interaction_backward) interaction_backward{
    "Interaction.backward", {DType::f32, backward_cpu<float>}, {DType::bf16, backward_cpu<bf16>}};

LayerDef interaction_layer() {
  return {.name = "Interaction",
          .doc = "pairwise inner products of the bottom MLP's output and all embeddings of a sample",
          .min_inputs = 2,
          .max_inputs = 2,
          .spare_tops = 1,
          .create = make_layer<Interaction>};
}

}  // namespace ctr
