// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "base/tensor.h"
#include "device/context.h"

namespace ctr {

// Collectives between ranks: one rank per device, one host thread per rank. Every rank calls the same
// sequence. Sums are taken in rank order, so results do not depend on timing. Callers never ask which
// implementation it is.
class Comm {
 public:
  virtual ~Comm() = default;
  virtual int rank() const = 0;
  virtual int size() const = 0;

  virtual void all_reduce_sum(Context&, const Tensor& data) = 0;
  // out = this rank's slice (first dimension cut into size() equal parts) of the sum over ranks of `in`.
  virtual void reduce_scatter_sum(Context&, const Tensor& in, const Tensor& out) = 0;
  // out [size() * n, ...] = every rank's `in` [n, ...] one after the other.
  virtual void all_gather(Context&, const Tensor& in, const Tensor& out) = 0;
  // Elements of `send`, in destination order, counts per destination; the same for `recv` by source.
  virtual void all_to_all_v(Context&, const Tensor& send, std::span<const int64_t> send_counts,
                            const Tensor& recv, std::span<const int64_t> recv_counts) = 0;
  virtual void broadcast(Context&, const Tensor& data, int root) = 0;
  virtual void barrier() = 0;

  // Host-side helpers for control decisions and metrics.
  virtual double sum(double value) = 0;
  virtual std::vector<std::vector<float>> gather_all(std::span<const float> values) = 0;

  // Called by a rank that gives up: peers waiting in a collective throw instead of waiting for ever. reset()
  // makes the group usable again once every rank has left.
  virtual void abort() noexcept = 0;
  virtual void reset() noexcept = 0;
};

std::unique_ptr<Comm> make_solo_comm();
std::vector<std::unique_ptr<Comm>> make_local_comms(int size);  // ranks that are threads of this process

}  // namespace ctr
