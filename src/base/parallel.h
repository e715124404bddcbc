// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>

namespace ctr {

// Threads this process may use: HUGECTR_NUM_THREADS, else OMP_NUM_THREADS, else the cores of the affinity
// mask.
int available_threads();

namespace detail {

// Calls part(body, t) for every t in [0, parts), at the same time as far as there are threads, and rethrows
// the exception of the lowest t. The helpers of a thread start when first needed and stay; where the system
// has no more threads, fewer do the same work. Within a part, parts follow each other.
void run_team(int parts, const void* body, void (*part)(const void* body, int t));

template <class Body>
void run_team(int parts, const Body& body) {
  run_team(parts, &body, [](const void* erased, int t) { (*static_cast<const Body*>(erased))(t); });
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
