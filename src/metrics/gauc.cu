// SPDX-License-Identifier: Apache-2.0
#include "kernels/elementwise.cuh"
#include "kernels/reduce.cuh"
#include "kernels/scan.cuh"
#include "kernels/sort.cuh"
#include "metrics/samples.cuh"

namespace ctr::cuda {
namespace {

// One column's samples in the order of their groups, and of their scores within each.
struct Order {
  const uint32_t* keys;  // of scores
  const uint64_t* groups;
  const uint32_t *positives, *negatives;  // before each position, and after the last
};
struct GroupSums {
  double area, count, not_numbers;
};

// What sample i adds to the area of its group, times the group's samples; nothing where a class is missing.
__device__ double area_of(const Order& o, int64_t n, int64_t i, bool count_only) {
  const int64_t begin = bound(o.groups, int64_t{0}, n, o.groups[i], false),
                end = bound(o.groups, begin, n, o.groups[i], true);
  const double positives = o.positives[end] - o.positives[begin],
               negatives = o.negatives[end] - o.negatives[begin];
  const bool is_positive = o.positives[i + 1] > o.positives[i],
             is_negative = o.negatives[i + 1] > o.negatives[i];
  if (positives == 0 || negatives == 0 || !(is_positive || is_negative)) return 0.0;
  if (count_only) return 1.0;
  if (!is_positive) return 0.0;
  const int64_t first = bound(o.keys, begin, end, o.keys[i], false),
                last = bound(o.keys, begin, end, o.keys[i], true);
  const double twice_wins =
      static_cast<double>(o.negatives[first] - o.negatives[begin]) + (o.negatives[last] - o.negatives[begin]);
  return (positives + negatives) * (twice_wins / 2) / (positives * negatives);
}

// A column's samples where they came.
struct Samples {
  int64_t n, columns;
  const float *scores, *labels;
  const uint32_t* groups;  // halves, the lower one first

  __device__ uint64_t group(int64_t i) const { return uint64_t{groups[2 * i + 1]} << 32 | groups[2 * i]; }
  __device__ bool counts(int64_t i) const {
    return !is_missing(labels[i * columns]) && static_cast<int64_t>(group(i)) != kNoGroup;
  }
  __device__ bool is_negative(int64_t i) const { return !is_positive(labels[i * columns]); }
};

void key_by_score(const Context& ctx, Samples s, uint32_t* keys, uint32_t* places) {
  for_each(ctx, "GAUC.keys", s.n, [=] __device__(int64_t i) {
    keys[i] = order_key(s.scores[i * s.columns]);
    places[i] = static_cast<uint32_t>(i);
  });
}

void key_by_group(const Context& ctx, Samples s, int half, uint32_t* keys, const uint32_t* places) {
  for_each(ctx, "GAUC.groups", s.n,
           [=] __device__(int64_t i) { keys[i] = s.groups[2 * int64_t{places[i]} + half]; });
}

void fill_order(const Context& ctx, Samples s, const uint32_t* places, uint32_t* keys, uint64_t* groups,
                uint32_t* positive, uint32_t* negative) {
  for_each(ctx, "GAUC.order", s.n, [=] __device__(int64_t i) {
    const int64_t sample = places[i];
    keys[i] = order_key(s.scores[sample * s.columns]);
    groups[i] = s.group(sample);
    positive[i] = s.counts(sample) && !s.is_negative(sample);
    negative[i] = s.counts(sample) && s.is_negative(sample);
  });
}

void add_up(const Context& ctx, Samples s, Order o, GroupSums* sums) {
  const int64_t n = s.n;
  sum_all(
      ctx, "GAUC.area", n, [=] __device__(int64_t i) { return area_of(o, n, i, false); },
      [=] __device__(double sum) { sums->area = sum; });
  sum_all(
      ctx, "GAUC.count", n, [=] __device__(int64_t i) { return area_of(o, n, i, true); },
      [=] __device__(double sum) { sums->count = sum; });
  sum_all(
      ctx, "GAUC.not_numbers", n,
      [=] __device__(int64_t i) { return s.counts(i) && isnan(s.scores[i * s.columns]) ? 1.0 : 0.0; },
      [=] __device__(double sum) { sums->not_numbers = sum; });
}

// Sorts by scores, then stably by the lower and the upper half of the groups.
class CudaGauc final : public Collected {
 public:
  using Collected::Collected;

  void update(const MetricInput& batch) override {
    Collected::update(batch);
    groups_.append(ctx_, {reinterpret_cast<const float*>(batch.groups.data()), 2 * batch.groups.size()});
  }
  void reset() override {
    Collected::reset();
    groups_.clear();
  }
  double value(Comm& comm) override {
    require_solo(comm);
    double total = 0;
    for (int64_t column = 0; column < columns_; ++column) total += area(column);
    return total / static_cast<double>(columns_);
  }

 private:
  double area(int64_t column) const {
    const Samples s{scores_.size() / columns_, columns_, scores_.data() + column, labels_.data() + column,
                    reinterpret_cast<const uint32_t*>(groups_.data())};
    if (s.n == 0) return std::nan("");
    const Buffer first = words(2 * s.n), second = words(2 * s.n), groups = words(2 * s.n),
                 positives = words(s.n + 1), negatives = words(s.n + 1), sums = words(sizeof(GroupSums) / 4),
                 scratch(ctx_.device, std::max(sort_pairs_bytes(s.n), inclusive_sum_bytes(s.n)), "GAUC");
    auto *keys = data_of<uint32_t>(first), *next_keys = data_of<uint32_t>(second);
    uint32_t *places = keys + s.n, *next_places = next_keys + s.n;
    const auto sort = [&] {
      sort_pairs(ctx_, keys, places, next_keys, next_places, s.n, 32, scratch.data(), scratch.bytes());
      std::swap(keys, next_keys), std::swap(places, next_places);
    };
    key_by_score(ctx_, s, keys, places);
    sort();
    for (int half = 0; half < 2; ++half) {
      key_by_group(ctx_, s, half, keys, places);
      sort();
    }
    fill_order(ctx_, s, places, keys, data_of<uint64_t>(groups), next_keys, next_places);
    const uint32_t *before = count(next_keys, s.n, positives, scratch),
                   *negatives_before = count(next_places, s.n, negatives, scratch);
    add_up(ctx_, s, {keys, data_of<uint64_t>(groups), before, negatives_before}, data_of<GroupSums>(sums));
    GroupSums result;
    constexpr int64_t kWords = sizeof(GroupSums) / sizeof(int64_t);
    copy_to_host(ctx_, &result, Tensor(DType::i64, {kWords}, sums.data()));
    return result.not_numbers > 0 ? std::nan("") : result.area / result.count;  // NaN: no group has both
  }

  // The flags set before each position, and in all.
  const uint32_t* count(const uint32_t* flags, int64_t n, const Buffer& to, const Buffer& scratch) const {
    auto* counts = data_of<uint32_t>(to);
    memory_backend(ctx_.device).fill_zero(ctx_, counts, sizeof(uint32_t), 1, 0);
    inclusive_sum(ctx_, flags, counts + 1, n, scratch.data(), scratch.bytes());
    return counts;
  }
  Buffer words(int64_t n) const {
    return Buffer(ctx_.device, static_cast<size_t>(n) * sizeof(uint32_t), "GAUC");
  }

  Column groups_;
};

}  // namespace
}  // namespace ctr::cuda

namespace ctr {

void register_gauc_cuda() {
  register_metric(Backend::cuda, "GAUC", [](const Context& ctx) -> std::unique_ptr<Metric> {
    return std::make_unique<cuda::CudaGauc>(ctx);
  });
}

}  // namespace ctr
