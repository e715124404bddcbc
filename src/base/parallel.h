// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <exception>
#include <thread>
#include <vector>

namespace ctr {

// Threads this process may use: HUGECTR_NUM_THREADS, else OMP_NUM_THREADS, else the cores of the affinity
// mask.
int available_threads();

namespace detail {

// Runs body(t) for t in [0, threads) at the same time and rethrows the first exception.
template <class Body>
void run_team(int threads, const Body& body) {
  std::vector<std::exception_ptr> errors(static_cast<size_t>(threads));
  auto guarded = [&](int t) {
    try {
      body(t);
    } catch (...) {
      errors[static_cast<size_t>(t)] = std::current_exception();
    }
  };
#ifdef _OPENMP  // the same runtime as oneDNN's, so the two never fight over cores
#pragma omp parallel for num_threads(threads) schedule(static, 1)
  for (int t = 0; t < threads; ++t) guarded(t);
#else  // thread sanitizer builds: it cannot see libgomp's barriers
  std::vector<std::thread> team;
  for (int t = 1; t < threads; ++t) team.emplace_back(guarded, t);
  guarded(0);
  for (auto& member : team) member.join();
#endif
  for (auto& e : errors)
    if (e) std::rethrow_exception(e);
}

}  // namespace detail

struct Range {
  int64_t begin, end;
};

// Part t of [0, n) cut into `parts` contiguous pieces.
inline Range split(int64_t n, int t, int parts) { return {n * t / parts, n * (t + 1) / parts}; }

// Calls body(t, threads) once per team member; a team of one runs inline.
template <class Body>
void parallel_team(int threads, const Body& body) {
  if (threads <= 1) return body(0, 1);
  detail::run_team(threads, [&](int t) { body(t, threads); });
}

// Calls body(begin, end) over contiguous pieces of [0, n); pieces hold at least `grain` items.
template <class Body>
void parallel_for(int threads, int64_t n, int64_t grain, const Body& body) {
  if (n <= 0) return;
  const int parts = static_cast<int>(std::clamp<int64_t>(n / std::max<int64_t>(grain, 1), 1, threads));
  if (parts == 1) return body(int64_t{0}, n);
  detail::run_team(parts, [&](int t) {
    const Range r = split(n, t, parts);
    body(r.begin, r.end);
  });
}

}  // namespace ctr
