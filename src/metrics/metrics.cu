// SPDX-License-Identifier: Apache-2.0
// Metrics whose samples stay on the device: the host waits for a few numbers in value() only.
#include "kernels/elementwise.cuh"
#include "kernels/reduce.cuh"
#include "kernels/scan.cuh"
#include "kernels/sort.cuh"
#include "metrics/catalog.h"
#include "metrics/ratio.h"
#include "metrics/samples.cuh"

namespace ctr::cuda {
namespace {

class CudaNdcg final : public Collected {
 public:
  using Collected::Collected;
  double value(Comm& comm) override {
    require_solo(comm);
    return ndcg(scores_.to_host(ctx_), labels_.to_host(ctx_));
  }
};

struct AucCounts {
  double twice_wins, negatives, not_numbers, labelled;
};

// Above the keys of all numbers: samples without a label come last.
constexpr uint32_t kNoLabel = 0xffffffffu;

// Keys of a column's scores; whether each sample is negative.
void prepare(const Context& ctx, const float* scores, const float* labels, int64_t n, int64_t columns,
             uint32_t* keys, uint32_t* negative, AucCounts* counts) {
  sum_all(
      ctx, "AUC.prepare", n,
      [=] __device__(int64_t i) {
        const float score = scores[i * columns], label = labels[i * columns];
        const bool is_labelled = !is_missing(label);
        keys[i] = is_labelled ? order_key(score) : kNoLabel;
        negative[i] = is_labelled && !is_positive(label);
        return is_labelled && isnan(score) ? 1.0 : 0.0;
      },
      [=] __device__(double sum) { counts->not_numbers = sum; });
  sum_all(
      ctx, "AUC.prepare", n,
      [=] __device__(int64_t i) { return is_missing(labels[i * columns]) ? 0.0 : 1.0; },
      [=] __device__(double sum) { counts->labelled = sum; });
}

// Sums of whole numbers: exact up to 2^53. below[i] = negatives before position i.
void count_wins(const Context& ctx, int64_t n, const uint32_t* keys, const uint32_t* negative,
                const uint32_t* below, AucCounts* counts) {
  sum_all(
      ctx, "AUC.count", n,
      [=] __device__(int64_t i) {
        if (negative[i] || keys[i] == kNoLabel) return 0.0;
        const int64_t first = bound(keys, int64_t{0}, n, keys[i], false),
                      end = bound(keys, int64_t{0}, n, keys[i], true);
        return static_cast<double>(below[first]) + static_cast<double>(below[end]);
      },
      [=] __device__(double sum) {
        counts->twice_wins = sum;
        counts->negatives = below[n];
      });
}

// Sorts a column's scores; each positive then wins against the negatives below it and ties with its equals.
class CudaAuc final : public Collected {
 public:
  using Collected::Collected;

  double value(Comm& comm) override {
    require_solo(comm);
    double total = 0;
    for (int64_t column = 0; column < columns_; ++column) total += area(column);
    return total / static_cast<double>(columns_);
  }

 private:
  double area(int64_t column) const {
    const int64_t n = scores_.size() / columns_;
    if (n == 0) return std::nan("");
    const auto bytes = static_cast<size_t>(n + 1) * sizeof(uint32_t);
    const size_t scratch_bytes = std::max(sort_pairs_bytes(n), inclusive_sum_bytes(n));
    const Buffer keys(ctx_.device, bytes, "AUC"), negative(ctx_.device, bytes, "AUC"),
        sorted_keys(ctx_.device, bytes, "AUC"), sorted_negative(ctx_.device, bytes, "AUC"),
        below(ctx_.device, bytes, "AUC"), scratch(ctx_.device, scratch_bytes, "AUC"),
        counts(ctx_.device, sizeof(AucCounts), "AUC");
    prepare(ctx_, scores_.data() + column, labels_.data() + column, n, columns_, data_of<uint32_t>(keys),
            data_of<uint32_t>(negative), data_of<AucCounts>(counts));
    sort_pairs(ctx_, data_of<uint32_t>(keys), data_of<uint32_t>(negative), data_of<uint32_t>(sorted_keys),
               data_of<uint32_t>(sorted_negative), n, 32, scratch.data(), scratch.bytes());
    inclusive_sum(ctx_, data_of<uint32_t>(sorted_negative), data_of<uint32_t>(below) + 1, n, scratch.data(),
                  scratch.bytes());
    count_wins(ctx_, n, data_of<uint32_t>(sorted_keys), data_of<uint32_t>(sorted_negative),
               data_of<uint32_t>(below), data_of<AucCounts>(counts));
    AucCounts c;
    copy_to_host(ctx_, &c, Tensor(DType::i64, {sizeof(AucCounts) / sizeof(int64_t)}, counts.data()));
    if (c.not_numbers > 0) return std::nan("");
    return c.twice_wins / 2 / ((c.labelled - c.negatives) * c.negatives);  // NaN without pairs
  }
};

// Sums of RatioTerms, kept on the device.
template <class Math>
class CudaRatio final : public Metric {
 public:
  explicit CudaRatio(const Context& ctx)
      : ctx_(ctx), sums_(ctx.device, sizeof(RatioTerm), "sums of a metric") {}

  void update(const MetricInput& batch) override {
    const auto n = static_cast<int64_t>(batch.predictions.size());
    if (n == 0) return;
    const float *predictions = batch.predictions.data(), *labels = batch.labels.data();
    auto* sums = data_of<RatioTerm>(sums_);
    sum_all(
        ctx_, "Ratio.numerator", n,
        [=] __device__(int64_t i) { return Math::term(predictions[i], labels[i]).numerator; },
        [=] __device__(double sum) { sums->numerator += sum; });
    sum_all(
        ctx_, "Ratio.denominator", n,
        [=] __device__(int64_t i) { return Math::term(predictions[i], labels[i]).denominator; },
        [=] __device__(double sum) { sums->denominator += sum; });
  }
  double value(Comm& comm) override {
    require_solo(comm);
    RatioTerm sums;
    copy_to_host(ctx_, &sums, Tensor(DType::i64, {2}, sums_.data()));
    return sums.numerator / sums.denominator;
  }
  void reset() override { memory_backend(ctx_.device).fill_zero(ctx_, sums_.data(), sums_.bytes(), 1, 0); }

 private:
  const Context& ctx_;
  Buffer sums_;
};

void add_entropy(const Context& ctx, const MetricInput& batch, int64_t column, EntropySums* sums) {
  const int64_t columns = batch.columns;
  const float *predictions = batch.predictions.data() + column, *labels = batch.labels.data() + column;
  sum_all(
      ctx, "NormalizedEntropy", batch.rows,
      [=] __device__(int64_t i) {
        return LogLossMath::term(predictions[i * columns], labels[i * columns]).numerator;
      },
      [=] __device__(double sum) { sums->loss += sum; });
  sum_all(
      ctx, "NormalizedEntropy", batch.rows,
      [=] __device__(int64_t i) {
        return is_missing(labels[i * columns]) ? 0.0 : double{labels[i * columns]};
      },
      [=] __device__(double sum) { sums->positives += sum; });
  sum_all(
      ctx, "NormalizedEntropy", batch.rows,
      [=] __device__(int64_t i) { return is_missing(labels[i * columns]) ? 0.0 : 1.0; },
      [=] __device__(double sum) { sums->count += sum; });
}

// The same sums as on a CPU, of each column.
class CudaNormalizedEntropy final : public Metric {
 public:
  explicit CudaNormalizedEntropy(const Context& ctx) : ctx_(ctx) {}

  void update(const MetricInput& batch) override {
    if (batch.rows == 0) return;
    if (columns_ != batch.columns) {
      columns_ = batch.columns;
      memory_ = Buffer(ctx_.device, static_cast<size_t>(columns_) * sizeof(EntropySums), "sums of a metric");
      reset();
    }
    for (int64_t column = 0; column < columns_; ++column)
      add_entropy(ctx_, batch, column, data_of<EntropySums>(memory_) + column);
  }
  double value(Comm& comm) override {
    require_solo(comm);
    std::vector<EntropySums> sums(static_cast<size_t>(columns_));
    if (sums.empty()) return std::nan("");
    constexpr int64_t kWords = sizeof(EntropySums) / sizeof(int64_t);
    copy_to_host(ctx_, sums.data(), Tensor(DType::i64, {columns_ * kWords}, memory_.data()));
    double total = 0;
    for (const EntropySums& column : sums) total += normalized_entropy(column);
    return total / static_cast<double>(columns_);
  }
  void reset() override {
    if (columns_ > 0) memory_backend(ctx_.device).fill_zero(ctx_, memory_.data(), memory_.bytes(), 1, 0);
  }

 private:
  const Context& ctx_;
  int64_t columns_ = 0;
  Buffer memory_;
};

template <class M>
std::unique_ptr<Metric> make(const Context& ctx) {
  return std::make_unique<M>(ctx);
}

}  // namespace
}  // namespace ctr::cuda

namespace ctr {

void register_metrics_cuda() {
  register_metric(Backend::cuda, "AUC", cuda::make<cuda::CudaAuc>);
  register_metric(Backend::cuda, "HitRate", cuda::make<cuda::CudaRatio<HitRateMath>>);
  register_metric(Backend::cuda, "NDCG", cuda::make<cuda::CudaNdcg>);
  register_metric(Backend::cuda, "LogLoss", cuda::make<cuda::CudaRatio<LogLossMath>>);
  register_metric(Backend::cuda, "NormalizedEntropy", cuda::make<cuda::CudaNormalizedEntropy>);
  register_metric(Backend::cuda, "Calibration", cuda::make<cuda::CudaRatio<CalibrationMath>>);
  register_metric(Backend::cuda, "SMAPE", cuda::make<cuda::CudaRatio<SmapeMath>>);
}

}  // namespace ctr
