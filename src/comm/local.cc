// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <condition_variable>
#include <cstring>
#include <mutex>

#include "base/parallel.h"
#include "comm/comm.h"

namespace ctr {
namespace {

constexpr int64_t kGrain = 1 << 15;  // elements worth one thread

// What a rank shows its peers for the time of one collective.
struct Offer {
  std::string_view operation;
  const void* data = nullptr;
  int64_t count = 0;
  DType dtype = DType::f32;
  std::span<const int64_t> send_counts = {};
};

// The meeting point of all ranks.
class Group {
 public:
  explicit Group(int size) : offers_(static_cast<size_t>(size)) {}

  int size() const { return static_cast<int>(offers_.size()); }
  Offer& offer(int rank) { return offers_[static_cast<size_t>(rank)]; }

  // Waits until every rank is here; throws once the group is aborted.
  void enter() {
    std::unique_lock lock(mutex_);
    const auto all_here = [&, generation = generation_] { return generation_ != generation; };
    if (!aborted_ && !arrive()) changed_.wait(lock, [&] { return all_here() || aborted_; });
    if (!all_here()) fail(ErrorKind::internal, "another rank failed");
  }

  // The end of a collective. Does not heed abort(): every rank got past enter() and comes here, and until
  // then its memory is being read.
  void leave() noexcept {
    std::unique_lock lock(mutex_);
    const int64_t generation = generation_;
    if (!arrive()) changed_.wait(lock, [&] { return generation_ != generation; });
  }

  void abort() noexcept {
    std::lock_guard lock(mutex_);
    aborted_ = true;
    changed_.notify_all();
  }

  void reset() noexcept {
    std::lock_guard lock(mutex_);
    aborted_ = false;
    arrived_ = 0;
  }

 private:
  // True for the last rank, which lets the others go.
  bool arrive() {
    if (++arrived_ < size()) return false;
    arrived_ = 0;
    ++generation_;
    changed_.notify_all();
    return true;
  }

  std::vector<Offer> offers_;
  std::mutex mutex_;
  std::condition_variable changed_;
  int arrived_ = 0;
  int64_t generation_ = 0;
  bool aborted_ = false;
};

// How elements are summed: floating point in float, rounded once.
template <class T>
T widen(T v) {
  return v;
}
float widen(bf16 v) { return to_float(v); }
template <class T, class Wide>
T narrow(Wide v) {
  if constexpr (std::is_same_v<T, bf16>)
    return to_bf16(v);
  else
    return v;
}

template <class F>
void with_sum_type(DType dtype, F&& f) {
  switch (dtype) {
    case DType::f32: return f(float{});
    case DType::bf16: return f(bf16{});
    case DType::i32: return f(int32_t{});
    case DType::i64: return f(int64_t{});
    default: fail(ErrorKind::unsupported, "ranks cannot sum {}", name_of(dtype));
  }
}

class LocalComm final : public Comm {
 public:
  LocalComm(std::shared_ptr<Group> group, int rank) : group_(std::move(group)), rank_(rank) {}

  int rank() const override { return rank_; }
  int size() const override { return group_->size(); }

  // Each rank sums one slice and writes it to everybody.
  void all_reduce_sum(Context& ctx, const Tensor& data) override {
    collective(offer_of("all_reduce_sum", data), [&] {
      const Range slice = split(data.numel(), rank_, size());
      sum_over_ranks(ctx, data.dtype(), slice, [&]<class T>(const T* sums, int64_t begin, int64_t n) {
        for (int peer = 0; peer < size(); ++peer)
          std::copy_n(sums, n, static_cast<T*>(const_cast<void*>(group_->offer(peer).data)) + begin);
      });
    });
  }

  void reduce_scatter_sum(Context& ctx, const Tensor& in, const Tensor& out) override {
    collective(offer_of("reduce_scatter_sum", in), [&] {
      expect_same("reduce_scatter_sum", in.dtype(), in.numel(), out.dtype(), out.numel() * size());
      const int64_t first = out.numel() * rank_;
      sum_over_ranks(ctx, in.dtype(), {first, first + out.numel()},
                     [&]<class T>(const T* sums, int64_t begin, int64_t n) {
                       std::copy_n(sums, n, static_cast<T*>(out.raw()) + (begin - first));
                     });
    });
  }

  void all_gather(Context& ctx, const Tensor& in, const Tensor& out) override {
    collective(offer_of("all_gather", in), [&] {
      expect_same("all_gather", in.dtype(), in.numel() * size(), out.dtype(), out.numel());
      for (int peer = 0; peer < size(); ++peer)
        copy(ctx, group_->offer(peer).data, 0, out, in.numel() * peer, in.numel());
    });
  }

  void all_to_all_v(Context& ctx, const Tensor& send, std::span<const int64_t> send_counts,
                    const Tensor& recv, std::span<const int64_t> recv_counts) override {
    Offer mine = offer_of("all_to_all_v", send);
    mine.send_counts = send_counts;
    collective(mine, [&] {
      int64_t to = 0;
      for (int peer = 0; peer < size(); ++peer) {
        const Offer& theirs = group_->offer(peer);
        int64_t from = 0;
        for (int r = 0; r < rank_; ++r) from += theirs.send_counts[r];
        const int64_t n = recv_counts[peer];
        if (theirs.send_counts[rank_] != n || from + n > theirs.count || to + n > recv.numel())
          fail(ErrorKind::internal, "all_to_all_v: rank {} expects {} elements of rank {}, which sends {}",
               rank_, n, peer, theirs.send_counts[rank_]);
        copy(ctx, theirs.data, from, recv, to, n);
        to += n;
      }
    });
  }

  void broadcast(Context& ctx, const Tensor& data, int root) override {
    collective(offer_of("broadcast", data),
               [&] { copy(ctx, group_->offer(root).data, 0, data, 0, data.numel()); });
  }

  void barrier() override {
    collective({.operation = "barrier"}, [] {});
  }

  double sum(double value) override {
    double total = 0;
    collective({.operation = "sum", .data = &value}, [&] {
      for (int peer = 0; peer < size(); ++peer)
        total += *static_cast<const double*>(group_->offer(peer).data);
    });
    return total;
  }

  std::vector<std::vector<float>> gather_all(std::span<const float> values) override {
    std::vector<std::vector<float>> all;
    collective({.operation = "gather_all", .data = values.data(), .count = std::ssize(values)}, [&] {
      for (int peer = 0; peer < size(); ++peer) {
        const Offer& theirs = group_->offer(peer);
        const auto* first = static_cast<const float*>(theirs.data);
        all.emplace_back(first, first + theirs.count);
      }
    });
    return all;
  }

  void abort() noexcept override { group_->abort(); }
  void reset() noexcept override { group_->reset(); }

 private:
  static Offer offer_of(std::string_view operation, const Tensor& t) {
    return {operation, t.raw(), t.numel(), t.dtype()};
  }

  // Shows `mine`, meets the peers, runs `body` while everybody's offer is valid, and waits for the last to
  // finish.
  template <class Body>
  void collective(const Offer& mine, const Body& body) {
    group_->offer(rank_) = mine;
    group_->enter();
    struct Leave {
      Group& group;
      ~Leave() { group.leave(); }
    } leave{*group_};
    check_agreement();
    body();
  }

  // All ranks compare with rank 0, so that all of them throw or none does.
  void check_agreement() const {
    const Offer& first = group_->offer(0);
    const bool sizes_differ = first.operation == "all_to_all_v" || first.operation == "gather_all";
    for (int peer = 1; peer < size(); ++peer) {
      const Offer& theirs = group_->offer(peer);
      if (theirs.operation != first.operation || theirs.dtype != first.dtype ||
          (!sizes_differ && theirs.count != first.count))
        fail(ErrorKind::internal,
             "ranks disagree: rank 0 calls {} with {} x {}, rank {} calls {} with {} x {}", first.operation,
             first.count, name_of(first.dtype), peer, theirs.operation, theirs.count, name_of(theirs.dtype));
    }
  }

  static void expect_same(std::string_view operation, DType in, int64_t in_count, DType out,
                          int64_t out_count) {
    if (in != out || in_count != out_count)
      fail(ErrorKind::internal, "{}: input gives {} x {}, output holds {} x {}", operation, in_count,
           name_of(in), out_count, name_of(out));
  }

  // Sums elements of `slice` in rank order, a piece at a time, and hands each piece to write(sums, begin, n).
  template <class Write>
  void sum_over_ranks(Context& ctx, DType dtype, Range slice, const Write& write) {
    with_sum_type(dtype, [&]<class T>(T) {
      parallel_for(ctx.threads, slice.end - slice.begin, kGrain, [&](int64_t begin, int64_t end) {
        constexpr int64_t kPiece = 1024;
        decltype(widen(T{})) wide[kPiece];
        T sums[kPiece];
        for (int64_t i = slice.begin + begin; i < slice.begin + end; i += kPiece) {
          const int64_t n = std::min(kPiece, slice.begin + end - i);
          for (int peer = 0; peer < size(); ++peer) {
            const T* x = static_cast<const T*>(group_->offer(peer).data) + i;
            if (peer == 0)
              for (int64_t j = 0; j < n; ++j) wide[j] = widen(x[j]);
            else
              for (int64_t j = 0; j < n; ++j) wide[j] += widen(x[j]);
          }
          for (int64_t j = 0; j < n; ++j) sums[j] = narrow<T>(wide[j]);
          write(sums, i, n);
        }
      });
    });
  }

  // Copies n elements of out's type from element `from` of `in` to element `to` of `out`.
  static void copy(Context& ctx, const void* in, int64_t from, const Tensor& out, int64_t to, int64_t n) {
    const auto width = static_cast<int64_t>(size_of(out.dtype()));
    const auto* source = static_cast<const std::byte*>(in) + from * width;
    auto* target = static_cast<std::byte*>(out.raw()) + to * width;
    if (source == target) return;
    parallel_for(ctx.threads, n, kGrain, [&](int64_t begin, int64_t end) {
      std::memcpy(target + begin * width, source + begin * width, static_cast<size_t>((end - begin) * width));
    });
  }

  std::shared_ptr<Group> group_;
  int rank_;
};

}  // namespace

std::vector<std::unique_ptr<Comm>> make_local_comms(int size) {
  require(size >= 1, "a group needs at least one rank, got {}", size);
  const auto group = std::make_shared<Group>(size);
  std::vector<std::unique_ptr<Comm>> ranks;
  for (int rank = 0; rank < size; ++rank) ranks.push_back(std::make_unique<LocalComm>(group, rank));
  return ranks;
}

}  // namespace ctr
