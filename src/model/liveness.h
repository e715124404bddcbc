// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "model/plan.h"

namespace ctr {

// Bytes that are needed from one moment to another, both included.
struct Lifetime {
  size_t bytes;
  int64_t first, last;
};

// Where blocks lie so that no two that are needed at the same time meet, and how much memory that takes.
struct Packing {
  std::vector<size_t> offsets;  // at cache lines, in the order of the blocks
  size_t bytes = 0;
};
Packing pack(const std::vector<Lifetime>& blocks);

constexpr size_t aligned(size_t bytes) { return (bytes + 63) / 64 * 64; }
size_t bytes_of(const BufferDef& buffer, DType compute);
// Whether a value is memory of its own: neither another's view nor a part of it.
bool is_root(const Graph& graph, const Layout& layout, size_t value);

// Places what a forward pass alone needs: a tensor from its first writer to its last reader, buffers while
// their node runs, and what a node that runs aside touches until it is joined. Needs the nodes' lanes.
// Returns the handles of roots, by value.
std::vector<int> place_by_lifetime(const Graph& graph, const Layout& layout, DType compute, Plan& plan);

}  // namespace ctr
