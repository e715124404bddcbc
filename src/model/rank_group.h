// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "model/rank.h"

namespace ctr {

// The ranks of this process and their host threads: rank 0 runs on the caller's thread, the others on their
// own.
class RankGroup {
 public:
  RankGroup(ModelSpec spec, uint64_t seed);
  ~RankGroup();
  RankGroup(const RankGroup&) = delete;
  RankGroup& operator=(const RankGroup&) = delete;

  // Calls work(rank) on every rank at the same time and waits for all. When ranks fail, peers waiting for
  // them in a collective are released and the first cause is thrown.
  void run(const std::function<void(Rank&)>& work);

  Rank& operator[](int rank) { return *ranks_[static_cast<size_t>(rank)]; }
  int size() const { return static_cast<int>(ranks_.size()); }
  bool counts_states() const { return counts_states_; }  // of all embeddings, see EmbeddingSpec

 private:
  void start_threads();
  void stop_threads();
  void serve(size_t rank);
  void attempt(size_t rank);

  bool counts_states_ = false;
  std::vector<std::unique_ptr<Rank>> ranks_;
  std::vector<std::exception_ptr> errors_;
  std::vector<std::thread> threads_;
  std::mutex mutex_;
  std::condition_variable changed_;
  const std::function<void(Rank&)>* work_ = nullptr;
  int64_t round_ = 0;
  int pending_ = 0;
  bool stopping_ = false;
};

}  // namespace ctr
