// SPDX-License-Identifier: Apache-2.0
#include "layers/fm_order2.h"

#include <algorithm>

#include "base/parallel.h"
#include "base/vectorize.h"
#include "kernels/storage.h"
#include "layers/layer.h"

namespace ctr {
namespace {

class FmOrder2 final : public Layer {
 public:
  explicit FmOrder2(const Params& p) : dim_(p.integer("out_dim")) {
    require(dim_ > 0, "out_dim must be positive, got {}", dim_);
  }
  LayerShapes infer(const InferContext& inputs) const override {
    const Shape& x = inputs[0];
    require(x.rank() == 2 && x[1] % dim_ == 0, "needs an input [batch, slots x out_dim {}], got {}", dim_,
            to_string(x));
    return {.outputs = {{x[0], dim_}}, .strided_inputs = Strided::rows, .strided_outputs = Strided::rows};
  }
  void forward(Context& ctx, const LayerRun& run) const override {
    fm_order2_forward(ctx, run.x[0], run.y[0]);
  }
  void backward(Context& ctx, const LayerRun& run) const override {
    if (run.wants(0)) fm_order2_backward(ctx, run.x[0], run.d_y[0], run.d_x[0], run.accumulates(0));
  }

 private:
  int64_t dim_;
};

constexpr int64_t kTile = 64;      // columns of a slot that are worked on together
constexpr int64_t kBuffer = 1024;  // elements of several slots in float
constexpr int64_t kLanes = 16;
typedef float Lanes __attribute__((vector_size(kLanes * sizeof(float)), aligned(sizeof(float)), may_alias));

const Lanes& at(const float* p) { return *reinterpret_cast<const Lanes*>(p); }
Lanes& at(float* p) { return *reinterpret_cast<Lanes*>(p); }

// Vectors reach beyond a slot's n columns, into the next slot or the slack of a buffer; what they find there
// is not used.
struct Slots {
  int64_t dim, columns, count;  // of elements, all slots of a buffer

  CTR_VECTORIZE void add(const float* x, float* sum, float* squares) const {
    for (int64_t j = 0; j < columns; j += kLanes) {
      Lanes s = at(sum + j), q = at(squares + j);
      for (int64_t i = j; i < count; i += dim) {
        s += at(x + i);
        q += at(x + i) * at(x + i);
      }
      at(sum + j) = s;
      at(squares + j) = q;
    }
  }
  // Slots in order: each overwrites what the one before left beyond its columns.
  CTR_VECTORIZE void differentiate(const float* x, const float* sum, const float* g, float* d_x) const {
    for (int64_t i = 0; i < count; i += dim)
      for (int64_t j = 0; j < columns; j += kLanes)
        at(d_x + i + j) = at(g + j) * (at(sum + j) - at(x + i + j));
  }
};

// A sample's slots in float, as many at a time as fit `buffer`: body(first element, slots).
template <class T, class Body>
void for_slots(const T* x, int64_t width, int64_t dim, int64_t columns, float* buffer, const Body& body) {
  const int64_t step = dim <= kTile ? kBuffer / dim * dim : dim;
  for (int64_t s = 0; s < width; s += step) {
    const int64_t count = dim <= kTile ? std::min(step, width - s) : columns;
    copy_as(x + s, count, buffer);
    body(s, Slots{dim, columns, count});
  }
}

// body(sample, first column, columns, buffer) for all samples and tiles of the dim
template <class Body>
void for_tiles(Context& ctx, const Shape& x, int64_t dim, const Body& body) {
  parallel_for(ctx.threads, x[0], std::max<int64_t>(1, 8192 / x[1]), [&](int64_t begin, int64_t end) {
    float buffer[kBuffer + kLanes] = {};
    for (int64_t b = begin; b < end; ++b)
      for (int64_t d = 0; d < dim; d += kTile) body(b, d, std::min(kTile, dim - d), buffer);
  });
}

template <class T>
void forward_cpu(Context& ctx, const Tensor& x, const Tensor& y) {
  const int64_t width = x.shape()[1], dim = y.shape()[1];
  const auto in = x.matrix<T>(), out = y.matrix<T>();
  for_tiles(ctx, x.shape(), dim, [&](int64_t b, int64_t d, int64_t n, float* buffer) {
    float sum[kTile] = {}, squares[kTile] = {};
    for_slots(in.at(b, d), width, dim, n, buffer,
              [&](int64_t, const Slots& slots) { slots.add(buffer, sum, squares); });
    for (int64_t j = 0; j < n; ++j) sum[j] = 0.5f * (sum[j] * sum[j] - squares[j]);
    copy_as(sum, n, out.at(b, d));
  });
}

template <class T>
void backward_cpu(Context& ctx, const Tensor& x, const Tensor& d_y, const Tensor& d_x, bool accumulate) {
  const int64_t width = x.shape()[1], dim = d_y.shape()[1];
  const auto values = x.matrix<T>(), gradient = d_y.matrix<T>(), out = d_x.matrix<T>();
  for_tiles(ctx, x.shape(), dim, [&](int64_t b, int64_t d, int64_t n, float* buffer) {
    const T* in = values.at(b, d);
    if (d == 0) prefetch_to_write(out.at(b), width);
    float sum[kTile] = {}, squares[kTile] = {}, g[kTile] = {}, d_in[kBuffer + kLanes];
    for_slots(in, width, dim, n, buffer,
              [&](int64_t, const Slots& slots) { slots.add(buffer, sum, squares); });
    copy_as(gradient.at(b, d), n, g);
    for_slots(in, width, dim, n, buffer, [&](int64_t s, const Slots& slots) {
      slots.differentiate(buffer, sum, g, d_in);
      put_as(d_in, slots.count, out.at(b, d + s), accumulate);
    });
  });
}

}  // namespace

constinit decltype(fm_order2_forward) fm_order2_forward{
    "FmOrder2.forward", {DType::f32, forward_cpu<float>}, {DType::bf16, forward_cpu<bf16>}};
constinit decltype(fm_order2_backward) fm_order2_backward{
    "FmOrder2.backward", {DType::f32, backward_cpu<float>}, {DType::bf16, backward_cpu<bf16>}};

LayerDef fm_order2_layer() {
  return {.name = "FmOrder2",
          .doc = "second-order factorization machine: ((sum of slots)^2 - sum of squares) / 2",
          .params = {{.keyword = "out_dim",
                      .json_path = "out_dim",
                      .initial = int64_t{0},
                      .doc = "width of one slot and of the output",
                      .max = kMaxExtent}},
          .create = make_layer<FmOrder2>};
}

}  // namespace ctr
