// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "embedding/cuda_table.cuh"
#include "embedding/row_math.h"

namespace ctr::cuda {

inline constexpr uint64_t kNoEntry = ~uint64_t{0};

// The entry of `key`: kEmptyKey has the one behind the others, other keys the first place with them after
// their home. `at_empty` decides what an empty place means: it returns whether the search ends there.
template <class AtEmpty>
__device__ inline uint64_t probe(const TableView& t, int64_t key, const AtEmpty& at_empty) {
  if (key == kEmptyKey) return t.num_entries;
  uint64_t i = __umul64hi(hash_key(key, t.salt), t.num_entries);
  for (uint64_t tries = 0; tries < t.num_entries; ++tries) {
    const int64_t there = *static_cast<volatile int64_t*>(&t.entries[i].key);
    if (there == key) return i;
    if (there == kEmptyKey && at_empty(i)) return at_empty.result(i);
    if (++i == t.num_entries) i = 0;
  }
  return kNoEntry;
}

struct StopAtEmpty {
  __device__ bool operator()(uint64_t) const { return true; }
  __device__ static uint64_t result(uint64_t) { return kNoEntry; }
};
// Takes the place for the key, unless another key was faster.
struct ClaimEmpty {
  const TableView& t;
  int64_t key;
  __device__ bool operator()(uint64_t i) const {
    const auto old = static_cast<int64_t>(atomicCAS(reinterpret_cast<unsigned long long*>(&t.entries[i].key),
                                                    static_cast<unsigned long long>(kEmptyKey),
                                                    static_cast<unsigned long long>(key)));
    return old == kEmptyKey || old == key;
  }
  __device__ static uint64_t result(uint64_t i) { return i; }
};

__device__ inline uint32_t find_row(const TableView& t, int64_t key) {
  const uint64_t entry = probe(t, key, StopAtEmpty{});
  return entry == kNoEntry ? kNoRow : t.entries[entry].row;
}

// The n-th row that new keys get.
__device__ inline uint32_t new_row(const TableView& t, RowCounts before, uint32_t n) {
  return n < before.free ? t.entries[before.free - 1 - n].free_row : before.end_row + (n - before.free);
}
__device__ inline void set_free(const TableView& t, uint32_t row) {
  atomicOr(&t.free_bits[row / 32], 1u << row % 32);
}
__device__ inline void set_used(const TableView& t, uint32_t row) {
  atomicAnd(&t.free_bits[row / 32], ~(1u << row % 32));
}

// Writes a row as it is when its key is seen for the first time; the threads of a warp share the work.
__device__ inline void initialize_row(const TableView& t, uint64_t seed, uint32_t row, int64_t key,
                                      const Initializer& fresh) {
  const int lane = threadIdx.x % 32;
  float* w = t.rows + int64_t{row} * t.stride;
  for (int block = lane; block * 4 < t.dim; block += 32) {
    const Random4 bits = fresh_block(seed, t.number, key, static_cast<uint32_t>(block));
    for (int k = block * 4; k < block * 4 + 4 && k < t.dim; ++k)
      w[k] = fresh_element(fresh, bits, key, k, t.dim);
  }
  for (int i = t.dim + lane; i < t.stride; i += 32) w[i] = t.initial_state;
  __syncwarp();
  if (lane > 0) return;
  if (t.has_last_step) w[t.stride - 1] = __uint_as_float(1);
  if (t.epochs) t.epochs[row] = 0;
  if (t.scores) t.scores[row] = 0;
}

}  // namespace ctr::cuda
