// SPDX-License-Identifier: Apache-2.0
#include "optim/row_update.h"

#include <algorithm>

#include "kernels/prefetch.h"
#include "kernels/vector_places.h"
#include "optim/lazy_adam.h"
#include "optim/row_width.h"

namespace ctr {
namespace {

constexpr int64_t kAhead = 16;  // hits whose memory is asked for early

constexpr float kZeros[kMaxRowWidth] = {};

float load(float v) { return v; }
float load(bf16 v) { return to_float(v); }

template <class T, class Width>
void add_scaled(float* __restrict sum, const T* __restrict x, float factor, Width n) {
  for (int64_t k = 0; k < n; ++k) sum[k] += factor * load(x[k]);
}

template <class T, class Width>
class Updater {
 public:
  Updater(const RowUpdate& u, Width width)
      : u_(u), d_bags_(u.d_bags.first<T>()), places_(u.d_bags), dim_(width), stride_(u.layout.stride()) {}

  // step(row, gradient) updates one row.
  template <class Step>
  void run(std::span<const RowHit> hits, Range all, const Step& step) const {
    const bool every = updates_every_row(u_.optimizer);
    const int64_t n = std::ssize(hits);
    float gradient[kMaxRowWidth];
    int64_t next = all.begin;
    for (int64_t i = 0; i < n;) {
      const int64_t row = hits[i].row;
      for (; every && next < row; ++next) step(row_at(next), kZeros);
      next = row + 1;
      i = sum_row(hits, i, gradient);
      step(row_at(row), gradient);
    }
    for (; every && next < all.end; ++next) step(row_at(next), kZeros);
  }

 private:
  float* row_at(int64_t row) const { return u_.rows + row * stride_; }

  // gradient = sum over the hits of the row of hit `i`; returns the first hit of the next row.
  int64_t sum_row(std::span<const RowHit> hits, int64_t i, float* gradient) const {
    const uint32_t row = hits[i].row;
    std::fill_n(gradient, dim_, 0.0f);
    for (; i < std::ssize(hits) && hits[i].row == row; ++i) {
      if (i + kAhead < std::ssize(hits)) {
        const RowHit& ahead = hits[i + kAhead];
        prefetch(d_bags_ + places_(ahead.bag), dim_ * int64_t{sizeof(T)});
        prefetch(row_at(ahead.row), stride_ * int64_t{sizeof(float)});
      }
      const T* d = d_bags_ + places_(hits[i].bag);
      const float factor = u_.bag_factors ? u_.bag_factors[hits[i].bag] : 1.0f;
      add_scaled(gradient, d, factor, dim_);
    }
    return i;
  }

  const RowUpdate& u_;
  const T* d_bags_;
  VectorPlaces places_;
  Width dim_;
  int64_t stride_;
};

// The rule on each element of a row; vector, gradient and states do not overlap.
template <class Width, class Step>
void apply(float* __restrict w, const float* __restrict g, float* __restrict s, Width n, const Step& step) {
  for (int64_t k = 0; k < n; ++k) step(w[k], g[k], s + k);
}

template <class T, class Width>
void update_lazily(const RowUpdate& u, std::span<const RowHit> hits, Width dim) {
  const RowLayout& layout = u.layout;
  const StepConstants& c = u.constants;
  Updater<T, Width>(u, dim).run(hits, {}, [&](float* w, const float* g) {
    const SkippedSteps skipped = skipped_steps(u.optimizer.beta1, u.optimizer.beta2, c, layout.last_step(w));
    apply(w, g, layout.state(w, 0), dim, [&](float& wk, float gk, float* sk) {
      LazyAdamRule::step(wk, gk * c.grad_scale, sk, dim, c, skipped);
    });
    layout.set_last_step(w, c.step);
  });
}

template <class T, class Width>
void update(const RowUpdate& u, std::span<const RowHit> hits, Range all, Width dim) {
  if (u.layout.has_last_step) return update_lazily<T>(u, hits, dim);
  with_rule(u.optimizer.type, [&](auto rule) {
    Updater<T, Width>(u, dim).run(hits, all, [&, c = u.constants](float* w, const float* g) {
      apply(w, g, w + dim, dim,
            [&](float& wk, float gk, float* sk) { rule.step(wk, gk * c.grad_scale, sk, dim, c); });
    });
  });
}

}  // namespace

RowLayout::RowLayout(const OptimizerSpec& optimizer, int64_t dim)
    : dim(dim),
      states(state_count(optimizer.type)),
      has_last_step(optimizer.type == OptimizerType::adam && optimizer.update == UpdateType::lazy_global) {}

bool updates_every_row(const OptimizerSpec& o) {
  const bool decays = o.type == OptimizerType::adam || o.type == OptimizerType::momentum_sgd ||
                      o.type == OptimizerType::nesterov || o.type == OptimizerType::rmsprop;
  return decays && o.update == UpdateType::global;
}

void update_rows(const RowUpdate& u, std::span<const RowHit> hits, Range all) {
  with_width(u.layout.dim, [&](auto dim) {
    if (u.d_bags.dtype() == DType::bf16) return update<bf16>(u, hits, all, dim);
    update<float>(u, hits, all, dim);
  });
}

}  // namespace ctr
