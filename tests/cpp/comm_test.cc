// SPDX-License-Identifier: Apache-2.0
#include "comm/comm.h"

#include <gtest/gtest.h>

#include <atomic>
#include <numeric>
#include <thread>

namespace ctr {
namespace {

using Ranks = std::vector<std::unique_ptr<Comm>>;

// Runs body(comm, ctx) on one thread per rank.
template <class Body>
void on_all(Ranks& ranks, const Body& body) {
  std::vector<std::thread> threads;
  for (auto& comm : ranks)
    threads.emplace_back([&] {
      Context ctx;
      ctx.threads = 2;
      body(*comm, ctx);
    });
  for (auto& t : threads) t.join();
}

template <class T>
Tensor tensor(std::vector<T>& v) {
  return Tensor(dtype_of<T>, {std::ssize(v)}, v.data());
}

float value(int rank, int64_t i) { return 0.1f * static_cast<float>(rank + 1) + static_cast<float>(i % 97); }

std::vector<float> values(int rank, int64_t n) {
  std::vector<float> v(static_cast<size_t>(n));
  for (int64_t i = 0; i < n; ++i) v[i] = value(rank, i);
  return v;
}

float sum_of(int size, int64_t i) {
  float total = value(0, i);
  for (int r = 1; r < size; ++r) total += value(r, i);
  return total;
}

class CommTest : public testing::TestWithParam<int> {
 protected:
  int size = GetParam();
  Ranks ranks = make_local_comms(size);
};
INSTANTIATE_TEST_SUITE_P(Ranks, CommTest, testing::Values(1, 2, 3, 4, 8));

TEST_P(CommTest, AllReduceSumsInRankOrder) {
  for (int64_t n : {int64_t{0}, int64_t{1}, int64_t{7}, int64_t{4099}, int64_t{300007}})
    on_all(ranks, [&](Comm& comm, Context& ctx) {
      auto data = values(comm.rank(), n);
      comm.all_reduce_sum(ctx, tensor(data));
      int64_t wrong = 0;
      for (int64_t i = 0; i < n; ++i) wrong += data[i] != sum_of(size, i);
      EXPECT_EQ(wrong, 0);
    });
}

TEST_P(CommTest, AllReduceOfOtherTypes) {
  on_all(ranks, [&](Comm& comm, Context& ctx) {
    std::vector<int64_t> wide(5, (int64_t{1} << 40) + comm.rank());
    comm.all_reduce_sum(ctx, tensor(wide));
    EXPECT_EQ(wide[4], (int64_t{1} << 40) * size + size * (size - 1) / 2);
    // 256 + 1 + 1 ... is exact in float; adding in bf16 would stay at 256.
    std::vector<bf16> narrow(3, to_bf16(comm.rank() == 0 ? 256.0f : 1.0f));
    comm.all_reduce_sum(ctx, tensor(narrow));
    EXPECT_EQ(to_float(narrow[2]), to_float(to_bf16(255.0f + static_cast<float>(size))));
    std::vector<f16> half(1);
    EXPECT_THROW(comm.all_reduce_sum(ctx, tensor(half)), Error);
  });
}

TEST_P(CommTest, ReduceScatterGivesEachRankItsSlice) {
  constexpr int64_t kSlice = 1237;
  on_all(ranks, [&](Comm& comm, Context& ctx) {
    auto in = values(comm.rank(), kSlice * size);
    std::vector<float> out(kSlice);
    comm.reduce_scatter_sum(ctx, tensor(in), tensor(out));
    int64_t wrong = 0;
    for (int64_t i = 0; i < kSlice; ++i) wrong += out[i] != sum_of(size, comm.rank() * kSlice + i);
    EXPECT_EQ(wrong, 0);
    EXPECT_EQ(in, values(comm.rank(), kSlice * size));
  });
}

TEST_P(CommTest, AllGatherConcatenates) {
  constexpr int64_t kPart = 61;
  std::vector<float> expected;
  for (int r = 0; r < size; ++r)
    for (int64_t i = 0; i < kPart; ++i) expected.push_back(value(r, i));
  on_all(ranks, [&](Comm& comm, Context& ctx) {
    auto in = values(comm.rank(), kPart);
    std::vector<float> out(static_cast<size_t>(kPart * size));
    comm.all_gather(ctx, tensor(in), tensor(out));
    EXPECT_EQ(out, expected);
    // In place: the input is already this rank's part of the output.
    std::vector<float> whole(static_cast<size_t>(kPart * size));
    std::copy(in.begin(), in.end(), whole.begin() + comm.rank() * kPart);
    comm.all_gather(ctx, Tensor(DType::f32, {kPart}, whole.data() + comm.rank() * kPart), tensor(whole));
    EXPECT_EQ(whole, expected);
  });
}

TEST_P(CommTest, AllToAllMovesUnequalParts) {
  // Rank s sends (s + 2 d) % 5 elements to rank d: some parts are empty.
  auto count = [](int s, int d) { return int64_t{(s + 2 * d) % 5}; };
  on_all(ranks, [&](Comm& comm, Context& ctx) {
    const int me = comm.rank();
    std::vector<int64_t> send, recv, send_counts, recv_counts, expected;
    for (int peer = 0; peer < size; ++peer) {
      send_counts.push_back(count(me, peer));
      recv_counts.push_back(count(peer, me));
      for (int64_t i = 0; i < count(me, peer); ++i) send.push_back(me * 1000 + peer * 10 + i);
      for (int64_t i = 0; i < count(peer, me); ++i) expected.push_back(peer * 1000 + me * 10 + i);
    }
    recv.resize(expected.size());
    comm.all_to_all_v(ctx, tensor(send), send_counts, tensor(recv), recv_counts);
    EXPECT_EQ(recv, expected);
  });
}

TEST_P(CommTest, BroadcastFromEveryRoot) {
  for (int root = 0; root < size; ++root)
    on_all(ranks, [&](Comm& comm, Context& ctx) {
      auto data = values(comm.rank(), 33);
      comm.broadcast(ctx, tensor(data), root);
      EXPECT_EQ(data, values(root, 33));
    });
}

TEST_P(CommTest, HostHelpers) {
  on_all(ranks, [&](Comm& comm, Context&) {
    EXPECT_EQ(comm.sum(comm.rank() + 0.5), size * (size - 1) / 2 + 0.5 * size);
    const auto all = comm.gather_all(values(comm.rank(), comm.rank()));
    ASSERT_EQ(std::ssize(all), size);
    for (int r = 0; r < size; ++r) EXPECT_EQ(all[r], values(r, r));
  });
}

TEST_P(CommTest, BarrierWaitsForEveryRank) {
  std::atomic<int> arrived = 0;
  on_all(ranks, [&](Comm& comm, Context&) {
    for (int round = 1; round <= 50; ++round) {
      ++arrived;
      comm.barrier();
      EXPECT_GE(arrived.load(), round * size);
      comm.barrier();
    }
  });
}

TEST_P(CommTest, AbortFreesWaitingPeersAndResetRearms) {
  for (int failing = 0; failing < size; ++failing) {
    std::atomic<int> thrown = 0;
    on_all(ranks, [&](Comm& comm, Context& ctx) {
      auto data = values(comm.rank(), 100);
      comm.all_reduce_sum(ctx, tensor(data));
      if (comm.rank() == failing) comm.abort();
      try {
        comm.all_reduce_sum(ctx, tensor(data));
      } catch (const Error& e) {
        EXPECT_EQ(e.kind(), ErrorKind::internal);
        EXPECT_STREQ(e.what(), "another rank failed");
        ++thrown;
      }
    });
    EXPECT_EQ(thrown, size);
    ranks[static_cast<size_t>(failing)]->reset();
    on_all(ranks, [&](Comm& comm, Context&) { EXPECT_EQ(comm.sum(1), size); });
  }
}

TEST(CommErrors, DisagreeingRanksAllThrowAndMayGoOn) {
  Ranks ranks = make_local_comms(3);
  on_all(ranks, [](Comm& comm, Context& ctx) {
    auto data = values(comm.rank(), comm.rank() == 2 ? 5 : 4);
    try {
      comm.all_reduce_sum(ctx, tensor(data));
      ADD_FAILURE() << "sizes differ";
    } catch (const Error& e) {
      EXPECT_STREQ(e.what(),
                   "ranks disagree: rank 0 calls all_reduce_sum with 4 x f32, rank 2 calls all_reduce_sum "
                   "with 5 x f32");
    }
    EXPECT_THROW(comm.rank() == 1 ? comm.barrier() : static_cast<void>(comm.sum(1)), Error);
    EXPECT_EQ(comm.sum(1), 3);
  });
}

TEST(SoloComm, CopiesAndKeeps) {
  const auto comm = make_solo_comm();
  Context ctx;
  auto in = values(0, 9);
  std::vector<float> out(9), received(9);
  comm->all_reduce_sum(ctx, tensor(in));
  comm->broadcast(ctx, tensor(in), 0);
  EXPECT_EQ(in, values(0, 9));
  comm->reduce_scatter_sum(ctx, tensor(in), tensor(out));
  EXPECT_EQ(out, in);
  const std::vector<int64_t> counts = {9};
  comm->all_to_all_v(ctx, tensor(in), counts, tensor(received), counts);
  EXPECT_EQ(received, in);
  std::vector<float> small(8);
  EXPECT_THROW(comm->all_gather(ctx, tensor(in), tensor(small)), Error);
  EXPECT_EQ(comm->sum(2.5), 2.5);
  EXPECT_EQ(comm->gather_all(in).at(0), in);
}

}  // namespace
}  // namespace ctr
