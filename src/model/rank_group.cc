// SPDX-License-Identifier: Apache-2.0
#include "model/rank_group.h"

#include <algorithm>
#include <system_error>
#include <utility>

#include "base/parallel.h"
#include "device/plugin.h"
#include "model/memory_need.h"
#include "model/precision.h"

namespace ctr {
namespace {

// The device of each rank, in order of vvgpu.
std::vector<Device> devices_of(const ModelSpec& spec) {
  const Backend backend = default_backend();
  std::vector<Device> devices;
  for (const auto& node : spec.solver.vvgpu)
    for (const int gpu : node) devices.push_back({backend, backend == Backend::cpu ? 0 : gpu});
  if (backend == Backend::cuda && devices.size() > 1)
    fail(ErrorKind::unsupported,
         "training on several GPUs is not implemented yet; with HUGECTR_DEVICE=cpu the {} ranks run on the "
         "CPU",
         devices.size());
  return devices;
}

}  // namespace

RankGroup::RankGroup(ModelSpec spec, uint64_t seed) {
  const int n = spec.ranks();
  const int threads = std::max(1, available_threads() / n);
  std::vector<std::unique_ptr<Comm>> comms;
  if (n == 1)
    comms.push_back(make_solo_comm());
  else
    comms = make_local_comms(n);
  const std::vector<Device> devices = devices_of(spec);
  const DType compute = compute_type(spec, devices.front());
  counts_states_ = fit_memory(spec, devices, compute);
  for (size_t r = 0; r < comms.size(); ++r)
    ranks_.push_back(std::make_unique<Rank>(spec, seed, devices[r], compute, std::move(comms[r]), threads));
  errors_.resize(ranks_.size());
  start_threads();
}

RankGroup::~RankGroup() { stop_threads(); }

void RankGroup::start_threads() {
  threads_.reserve(ranks_.size());
  try {
    for (size_t r = 1; r < ranks_.size(); ++r) threads_.emplace_back([this, r] { serve(r); });
  } catch (const std::system_error&) {
    const size_t started = threads_.size() + 1;
    stop_threads();
    fail(
        ErrorKind::out_of_memory,
        "vvgpu has {} devices, each a thread of its own, but the system starts only {}: the limit on threads "
        "is reached (ulimit -u, or the pids limit of a container)",
        size(), started);
  }
}

void RankGroup::stop_threads() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  for (auto& thread : threads_) thread.join();
  threads_.clear();
}

void RankGroup::attempt(size_t rank) {
  try {
    (*work_)(*ranks_[rank]);
  } catch (...) {
    errors_[rank] = std::current_exception();
    ranks_[rank]->comm().abort();
  }
}

void RankGroup::serve(size_t rank) {
  int64_t done = 0;
  while (true) {
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] { return stopping_ || round_ > done; });
      if (stopping_) return;
      done = round_;
    }
    attempt(rank);
    {
      std::lock_guard lock(mutex_);
      --pending_;
    }
    changed_.notify_all();
  }
}

void RankGroup::run(const std::function<void(Rank&)>& work) {
  if (ranks_.size() == 1) return work(*ranks_[0]);
  {
    std::lock_guard lock(mutex_);
    work_ = &work;
    pending_ = size() - 1;
    ++round_;
  }
  changed_.notify_all();
  attempt(0);
  {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return pending_ == 0; });
  }
  // A rank that was only released by a peer's failure reports `internal`; the cause is whatever else was
  // thrown.
  std::exception_ptr cause;
  for (auto& error : errors_) {
    const std::exception_ptr e = std::exchange(error, nullptr);
    if (!e) continue;
    bool released = false;
    try {
      std::rethrow_exception(e);
    } catch (const Error& known) {
      released = known.kind() == ErrorKind::internal;
    } catch (...) {
    }
    if (!cause || !released) cause = e;
    if (!released) break;
  }
  for (auto& error : errors_) error = nullptr;
  if (!cause) return;
  for (auto& rank : ranks_) rank->comm().reset();
  std::rethrow_exception(cause);
}

}  // namespace ctr
