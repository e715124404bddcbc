// SPDX-License-Identifier: Apache-2.0
#include <cstring>

#include "comm/comm.h"

namespace ctr {
namespace {

void copy(const Tensor& in, const Tensor& out) {
  if (in.dtype() != out.dtype() || in.numel() != out.numel())
    fail(ErrorKind::internal, "one rank: cannot copy {} {} to {} {}", name_of(in.dtype()),
         to_string(in.shape()), name_of(out.dtype()), to_string(out.shape()));
  if (in.bytes() && in.raw() != out.raw()) std::memmove(out.raw(), in.raw(), in.bytes());
}

// A group of one rank: sums are the values themselves, exchanges are copies, and there is nobody to wait for.
class SoloComm final : public Comm {
 public:
  int rank() const override { return 0; }
  int size() const override { return 1; }

  void all_reduce_sum(Context&, const Tensor&) override {}
  void reduce_scatter_sum(Context&, const Tensor& in, const Tensor& out) override { copy(in, out); }
  void all_gather(Context&, const Tensor& in, const Tensor& out) override { copy(in, out); }
  void all_to_all_v(Context&, const Tensor& send, std::span<const int64_t> send_counts, const Tensor& recv,
                    std::span<const int64_t> recv_counts) override {
    if (send_counts[0] != recv_counts[0] || send_counts[0] > send.numel() || recv_counts[0] > recv.numel())
      fail(ErrorKind::internal, "one rank: sends {} of {} elements, expects {} of {}", send_counts[0],
           send.numel(), recv_counts[0], recv.numel());
    copy(Tensor(send.dtype(), {send_counts[0]}, send.raw()),
         Tensor(recv.dtype(), {recv_counts[0]}, recv.raw()));
  }
  void broadcast(Context&, const Tensor&, int) override {}
  void barrier() override {}

  double sum(double value) override { return value; }
  std::vector<std::vector<float>> gather_all(std::span<const float> values) override {
    return {{values.begin(), values.end()}};
  }

  void abort() noexcept override {}
  void reset() noexcept override {}
};

}  // namespace

std::unique_ptr<Comm> make_solo_comm() { return std::make_unique<SoloComm>(); }

}  // namespace ctr
