// SPDX-License-Identifier: Apache-2.0
#include "model/finite_watch.h"

#include <atomic>
#include <cfloat>
#include <cmath>

#include "device/memory.h"
#include "kernels/elementwise.h"

namespace ctr {
namespace {

template <class T>
bool all_finite(const T* values, int64_t n) {
  bool bad = false;
  for (int64_t i = 0; i < n; ++i) bad |= !(std::fabs(to_float(values[i])) <= FLT_MAX);
  return !bad;
}

bool is_finite(const Context& ctx, const WatchedTensor& t) {
  std::atomic<bool> finite = true;
  for_row_pieces(ctx, t.rows * t.columns, t.columns, [&](int64_t row, int64_t begin, int64_t end) {
    const auto part = [&]<class T>(T) {
      return all_finite(static_cast<const T*>(t.data) + row * t.stride + begin, end - begin);
    };
    if (!(t.dtype == DType::bf16 ? part(bf16{}) : part(float{}))) finite = false;
  });
  return finite;
}

void watch_cpu(Context& ctx, const Tensor& record, const WatchView& view) {
  auto& found = *reinterpret_cast<WatchRecord*>(record.data<int64_t>());
  if (found.step >= 0) return;
  bool fine = view.triggers_count > 0;
  for (int64_t i = 0; i < view.triggers_count; ++i) fine &= is_finite(ctx, view.triggers[i]);
  if (fine) return;
  for (int64_t i = 0; i < view.count; ++i)
    if (!is_finite(ctx, view.tensors[i])) {
      found = {ctx.step->step, i};
      return;
    }
}

}  // namespace

constinit decltype(watch_finite) watch_finite{"watch_finite", {DType::i64, watch_cpu}};

namespace {

WatchedTensor watched(const Tensor& t) {
  const Tensor::Runs runs = t.runs();
  return {t.raw(), runs.length ? t.numel() / runs.length : 0, runs.length, runs.stride, t.dtype()};
}

}  // namespace

FiniteWatch::FiniteWatch(const Context& ctx, const std::vector<Tensor>& triggers,
                         std::vector<Watched> tensors) {
  std::vector<WatchedTensor> all;
  for (const Watched& w : tensors) {
    names_.push_back(w.name);
    all.push_back(watched(w.tensor));
  }
  for (const Tensor& t : triggers) all.push_back(watched(t));
  tensors_ = Buffer(ctx.device, all.size() * sizeof(WatchedTensor), "watched tensors");
  record_ = Buffer(ctx.device, sizeof(WatchRecord), "watched tensors");
  memory_backend(ctx.device)
      .copy_to_device(ctx, tensors_.data(), all.data(), all.size() * sizeof(WatchedTensor));
  const auto* first = reinterpret_cast<const WatchedTensor*>(tensors_.data());
  view_ = {first, std::ssize(tensors), first + tensors.size(), std::ssize(triggers)};
  forget(ctx);
}

void FiniteWatch::check(Context& ctx) const { watch_finite(ctx, record(), view_); }

std::optional<FiniteWatch::Finding> FiniteWatch::finding(const Context& ctx) const {
  WatchRecord found;
  copy_to_host(ctx, &found, record());
  if (found.step < 0) return std::nullopt;
  return Finding{found.step, names_[static_cast<size_t>(found.tensor)]};
}

void FiniteWatch::forget(const Context& ctx) const {
  const WatchRecord nothing{-1, -1};
  copy_to_device(ctx, record(), &nothing);
}

}  // namespace ctr
