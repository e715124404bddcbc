// SPDX-License-Identifier: Apache-2.0
#include "optim/row_update.h"

#include <algorithm>

#include "optim/lazy_adam.h"

namespace ctr {
namespace {

constexpr int64_t kMaxDim = 1024;
constexpr int64_t kAhead = 8;  // hits whose memory is asked for early

constexpr float kZeros[kMaxDim] = {};

float load(float v) { return v; }
float load(bf16 v) { return to_float(v); }

void prefetch(const void* p, int64_t bytes) {
  for (int64_t i = 0; i < bytes; i += 64) __builtin_prefetch(static_cast<const char*>(p) + i);
}

template <class T>
class Updater {
 public:
  explicit Updater(const RowUpdate& u)
      : u_(u), d_bags_(u.d_bags.data<T>()), dim_(u.layout.dim), stride_(u.layout.stride()) {}

  // step(row, gradient) updates one row.
  template <class Step>
  void run(std::span<const RowHit> hits, Range all, const Step& step) const {
    const bool every = updates_every_row(u_.optimizer);
    const int64_t n = std::ssize(hits);
    float gradient[kMaxDim];
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
        prefetch(d_bags_ + ahead.bag * dim_, dim_ * sizeof(T));
        prefetch(row_at(ahead.row), stride_ * sizeof(float));
      }
      const T* d = d_bags_ + hits[i].bag * dim_;
      const float factor = u_.bag_factors ? u_.bag_factors[hits[i].bag] : 1.0f;
      for (int64_t k = 0; k < dim_; ++k) gradient[k] += factor * load(d[k]);
    }
    return i;
  }

  const RowUpdate& u_;
  const T* d_bags_;
  int64_t dim_, stride_;
};

template <class T>
void update_lazily(const RowUpdate& u, std::span<const RowHit> hits) {
  const RowLayout& layout = u.layout;
  const StepConstants& c = u.constants;
  Updater<T>(u).run(hits, {}, [&](float* w, const float* g) {
    const SkippedSteps skipped = skipped_steps(u.optimizer.beta1, u.optimizer.beta2, c, layout.last_step(w));
    float* s = layout.state(w, 0);
#pragma GCC ivdep
    for (int64_t k = 0; k < layout.dim; ++k)
      LazyAdamRule::step(w[k], g[k] * c.grad_scale, s + k, layout.dim, c, skipped);
    layout.set_last_step(w, c.step);
  });
}

template <class T>
void update(const RowUpdate& u, std::span<const RowHit> hits, Range all) {
  if (u.layout.has_last_step) return update_lazily<T>(u, hits);
  with_rule(u.optimizer.type, [&](auto rule) {
    Updater<T>(u).run(hits, all, [&, c = u.constants, dim = u.layout.dim](float* w, const float* g) {
      float* s = w + dim;
#pragma GCC ivdep
      for (int64_t k = 0; k < dim; ++k) rule.step(w[k], g[k] * c.grad_scale, s + k, dim, c);
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
                      o.type == OptimizerType::nesterov;
  return decays && o.update == UpdateType::global;
}

void update_rows(const RowUpdate& u, std::span<const RowHit> hits, Range all) {
  if (u.d_bags.dtype() == DType::bf16) return update<bf16>(u, hits, all);
  update<float>(u, hits, all);
}

}  // namespace ctr
