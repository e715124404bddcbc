// SPDX-License-Identifier: Apache-2.0
#include "embedding/cuda_lookup.cuh"

#include <numeric>

#include "device/cuda.cuh"
#include "device/memory.h"
#include "embedding/cuda_index.cuh"
#include "kernels/vectors.cuh"

namespace ctr::cuda {
namespace {

__device__ inline int64_t thread_index() { return int64_t{blockIdx.x} * kBlock + threadIdx.x; }
__device__ inline int64_t thread_count() { return int64_t{gridDim.x} * kBlock; }

// blockIdx.y is the table.
dim3 grid_of(const Context& ctx, const TableGroup& group, int64_t items, int64_t items_per_block = kBlock) {
  const auto count = static_cast<unsigned>(group.count);
  return dim3(std::max(1u, grid_for(stream_of(ctx), items, items_per_block) / count), count);
}

// 32-bit keys are widened without sign.
__device__ inline int64_t key_of(const TableView& t, int64_t i) {
  return t.counts->narrow ? int64_t{static_cast<const uint32_t*>(t.batch_keys)[i]}
                          : static_cast<const int64_t*>(t.batch_keys)[i];
}

__global__ void find_kernel(const TableView* tables) {
  const TableView& t = tables[blockIdx.y];
  if (!t.entries) return;
  for (int64_t i = thread_index(); i < t.counts->keys; i += thread_count())
    t.found[i] = find_row(t, key_of(t, i));
}

// Unseen keys take an entry, which remembers the first position that asked.
__device__ void claim(const TableView& t) {
  for (int64_t i = thread_index(); i < t.counts->keys; i += thread_count()) {
    const int64_t key = key_of(t, i);
    const uint64_t entry = probe(t, key, ClaimEmpty{t, key});
    if (entry == kNoEntry) {
      t.found[i] = kNoRow;
      continue;
    }
    const uint32_t row = *static_cast<volatile uint32_t*>(&t.entries[entry].row);
    if (row < kPending) {
      t.found[i] = row;
    } else {
      atomicMin(&t.entries[entry].row, kPending + static_cast<uint32_t>(i));
      t.found[i] = kPending + static_cast<uint32_t>(entry);
      const_cast<volatile BatchCounts*>(t.counts)->fresh = 1;
    }
  }
}
__global__ void claim_kernel(const TableView* tables) {
  const TableView& t = tables[blockIdx.y];
  if (!t.entries) return;
  if (thread_index() < kFirstBlocks) t.firsts[thread_index()] = 0;
  claim(t);
}

// Key i is the first of its kind among the batch's unseen keys.
__device__ inline bool is_first(const TableView& t, int64_t i) {
  const uint32_t found = t.found[i];
  return found >= kPending && found != kNoRow && t.entries[found - kPending].row == kPending + i;
}

// The keys of one of gridDim.x contiguous parts.
__device__ inline int64_t part_begin(const TableView& t, unsigned part) {
  return int64_t{t.counts->keys} * part / gridDim.x;
}

// How many first keys this block's part has.
__device__ uint32_t count_firsts(const TableView& t) {
  const int64_t end = part_begin(t, blockIdx.x + 1);
  uint32_t count = 0;
  for (int64_t begin = part_begin(t, blockIdx.x); begin < end; begin += kBlock) {
    const int64_t i = begin + threadIdx.x;
    count += __syncthreads_count(i < end && is_first(t, i));
  }
  return count;
}
__global__ void count_firsts_kernel(const TableView* tables) {
  const TableView& t = tables[blockIdx.y];
  if (!t.entries || !t.counts->fresh) return;
  const uint32_t count = count_firsts(t);
  if (threadIdx.x == 0) t.firsts[blockIdx.x] = count;
}

__device__ inline uint32_t slot_of(const TableView& t, int64_t position) {  // the bag around it, modulo slots
  uint32_t low = 0, high = t.counts->bags;
  while (high - low > 1) {
    const uint32_t middle = low + (high - low) / 2;
    (t.offsets[middle] <= position ? low : high) = middle;
  }
  return low % t.slots;
}

// Adds the blocks' counts up, each block to what the one before it has left; blocks start in order, so that
// none waits for one that cannot run. Returns the sum of those before.
__device__ uint32_t add_to_chain(uint32_t* chain, uint32_t count) {
  static_assert(kFirstBlocks <= kBlock);  // claim_kernel() clears the chain
  __shared__ uint32_t before;
  __syncthreads();  // nobody reads any more what the end of the chain changes
  if (threadIdx.x == 0) {
    constexpr uint32_t kReady = 1;  // a sum is there, plus kReady
    uint32_t left = kReady;
    if (blockIdx.x > 0)
      while ((left = *static_cast<volatile uint32_t*>(&chain[blockIdx.x - 1])) == 0) {
      }
    *static_cast<volatile uint32_t*>(&chain[blockIdx.x]) = left + count;
    before = left - kReady;
  }
  __syncthreads();
  return before;
}

__device__ inline void report(const TableView& t, RowCounts counts) {
  *static_cast<volatile uint64_t*>(t.report) =
      RowReport::word(t.counts->number, counts.end_row - counts.free);
}

// The n-th first key gets the n-th new row, and this its initial values: one that was left, or the next.
__global__ void number_fresh_kernel(const TableView* tables, uint64_t seed) {
  const TableView& t = tables[blockIdx.y];
  if (!t.entries) return;
  const bool reports = blockIdx.x == gridDim.x - 1 && threadIdx.x == 0;
  if (!t.counts->fresh) {
    if (reports) report(t, *t.row_counts);
    return;
  }
  __shared__ uint32_t warp_counts[kBlock / 32];
  const RowCounts before{*static_cast<volatile uint32_t*>(&t.row_counts->end_row),  // the last block
                         *static_cast<volatile uint32_t*>(&t.row_counts->free)};    // writes them
  const uint32_t count = count_firsts(t);
  const uint32_t first_new = add_to_chain(t.firsts, count);
  const unsigned lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const int64_t end = part_begin(t, blockIdx.x + 1);
  uint32_t next = first_new;
  for (int64_t begin = part_begin(t, blockIdx.x); count > 0 && begin < end; begin += kBlock) {
    const int64_t i = begin + threadIdx.x;
    const bool first = i < end && is_first(t, i);
    const uint32_t votes = __ballot_sync(0xffffffffu, first);
    if (lane == 0) warp_counts[warp] = __popc(votes);
    __syncthreads();
    uint32_t n = next + __popc(votes & ((1u << lane) - 1));
    for (unsigned w = 0; w < kBlock / 32; ++w) {
      if (w < warp) n += warp_counts[w];
      next += warp_counts[w];
    }
    if (first) {
      const uint32_t row = new_row(t, before, n);
      if (n < before.free) set_used(t, row);
      t.entries[t.found[i] - kPending].row = row;
      t.keys[row] = key_of(t, i);
      if (t.slot_ids) t.slot_ids[row] = slot_of(t, i);
    }
    __syncthreads();
  }
  for (uint32_t n = first_new + warp; n < first_new + count; n += kBlock / 32) {
    const uint32_t row = new_row(t, before, n);
    initialize_row(t, seed, row, t.keys[row], t.fresh);
  }
  if (!reports) return;
  const uint32_t all = first_new + count, reused = min(all, before.free);
  *t.row_counts = {before.end_row + all - reused, before.free - reused};
  report(t, *t.row_counts);
}

// Gives claimed entries back: they are the youngest, so no other key was placed behind them.
__global__ void unclaim_kernel(const TableView* tables) {
  const TableView& t = tables[blockIdx.y];
  for (int64_t i = thread_index(); i < t.counts->keys; i += thread_count())
    if (t.found[i] >= kPending && t.found[i] != kNoRow) t.entries[t.found[i] - kPending].clear();
}

// Tables that one launch serves.
constexpr size_t kTables = 64;

// Where the vectors of the tables' bags go.
struct Outputs {
  Vectors of[kTables];
};

// What insert_rows() left there as a row.
__device__ inline uint32_t row_of(const TableView& t, uint32_t found) {
  return found >= kPending && found != kNoRow ? t.entries[found - kPending].row : found;
}

template <int V>
__device__ inline Pack<float, V> read_row(const TableView& t, uint32_t row, int element) {
  Pack<float, V> w = {};
  if (row != kNoRow) w = *reinterpret_cast<const Pack<float, V>*>(t.rows + int64_t{row} * t.stride + element);
  return w;
}

// A group of threads sums kBags bags at once, each thread V neighbouring elements. All bags take one step
// before any takes the next, so that their reads are under way together.
template <class T, int V, class Bags>
__device__ void combine(const TableView& t, const Bags& out) {
  constexpr int kBags = 4;
  const int units = t.dim / V, lanes = units >= 32 ? 32 : units <= 1 ? 1 : 1 << (32 - __clz(units - 1));
  const int lane = threadIdx.x % lanes, groups = kBlock / lanes;
  const int64_t bags = t.counts->bags, stride = int64_t{gridDim.x} * groups * kBags;
  const uint32_t keys = t.counts->keys;
  for (int64_t first = (int64_t{blockIdx.x} * groups + threadIdx.x / lanes) * kBags; first < bags;
       first += stride) {
    uint32_t begin[kBags + 1], row[kBags];
#pragma unroll
    for (int b = 0; b <= kBags; ++b) begin[b] = t.offsets[min(first + b, bags)];
#pragma unroll
    for (int b = 0; b < kBags; ++b) row[b] = begin[b] < keys ? t.found[begin[b]] : kNoRow;
#pragma unroll
    for (int b = 0; b < kBags; ++b) row[b] = begin[b] < begin[b + 1] ? row_of(t, row[b]) : kNoRow;
    for (int unit = lane; unit < units; unit += lanes) {
      Pack<float, V> sum[kBags];
#pragma unroll
      for (int b = 0; b < kBags; ++b) sum[b] = read_row<V>(t, row[b], unit * V);
#pragma unroll
      for (int b = 0; b < kBags; ++b) {
        for (uint32_t i = begin[b] + 1; i < begin[b + 1]; ++i) {
          const Pack<float, V> w = read_row<V>(t, row_of(t, t.found[i]), unit * V);
          for (int k = 0; k < V; ++k) sum[b].v[k] += w.v[k];
        }
        if (first + b >= bags) continue;
        const float factor = t.factors ? mean_factor(begin[b + 1] - begin[b]) : 1.0f;
        Pack<T, V> result;
        for (int k = 0; k < V; ++k) result.v[k] = rounded<T>(sum[b].v[k] * factor);
        out.template write<V>(static_cast<uint32_t>(first + b), unit * V, result);
        if (unit == 0 && t.factors) t.factors[first + b] = factor;
      }
    }
  }
}
template <class T>
__global__ void __launch_bounds__(kBlock, 4) combine_kernel(const TableView* tables, Outputs outputs) {
  const TableView& t = tables[blockIdx.y];
  const Vectors& out = outputs.of[blockIdx.y];
  T* data = static_cast<T*>(out.data);
  if (t.dim % 4 != 0 || t.stride % 4 != 0)
    combine<T, 1>(t, PlacedVectors<T>{data, out.places, false});
  else if (out.packed && out.wide)
    combine<T, 4>(t, PackedVectors<T>{data, t.dim});
  else
    combine<T, 4>(t, PlacedVectors<T>{data, out.places, out.wide});
}

__global__ void list_hits_kernel(const TableView* tables, uint32_t* rows, uint32_t* bags) {
  const TableView& t = tables[blockIdx.y];
  const uint32_t last = t.row_base + t.row_counts->end_row;  // above the table's rows
  rows += t.first_hit, bags += t.first_hit;
  for (int64_t bag = thread_index(); bag < t.counts->bags; bag += thread_count())
    for (uint32_t i = t.offsets[bag]; i < t.offsets[bag + 1]; ++i) {
      uint32_t row = t.found[i];
      if (row >= kPending) row = t.entries[row - kPending].row;
      rows[i] = t.row_base + row;
      bags[i] = static_cast<uint32_t>(bag);
      if (t.hit_bits) atomicOr(&t.hit_bits[row / 32], 1u << (row % 32));
    }
  for (int64_t i = t.counts->keys + thread_index(); i < t.max_keys; i += thread_count()) rows[i] = last;
}

}  // namespace

void find_rows(const Context& ctx, const TableGroup& group) {
  launch(ctx, "embedding.find", {grid_of(ctx, group, group.max_keys)}, find_kernel, group.tables);
}

void insert_rows(const Context& ctx, const TableGroup& group) {
  const dim3 parts(kFirstBlocks, static_cast<unsigned>(group.count));
  launch(ctx, "embedding.claim", {grid_of(ctx, group, group.max_keys)}, claim_kernel, group.tables);
  launch(ctx, "embedding.number_fresh", {parts}, number_fresh_kernel, group.tables, ctx.seed);
}

int64_t count_fresh(const Context& ctx, const TableGroup& group, int e, const TableView& view) {
  const TableView* table = group.tables + e;
  const unsigned blocks = grid_for(stream_of(ctx), group.max_keys);
  launch(ctx, "embedding.claim", {blocks}, claim_kernel, table);
  launch(ctx, "embedding.count_firsts", {kFirstBlocks}, count_firsts_kernel, table);
  launch(ctx, "embedding.unclaim", {blocks}, unclaim_kernel, table);
  BatchCounts counts;
  std::vector<uint32_t> firsts(kFirstBlocks);
  copy_to_host(ctx, &counts,
               Tensor(DType::i32, {sizeof(counts) / sizeof(int32_t)}, const_cast<BatchCounts*>(view.counts)));
  copy_to_host(ctx, firsts.data(), Tensor(DType::i32, {kFirstBlocks}, view.firsts));
  return counts.fresh ? std::accumulate(firsts.begin(), firsts.end(), int64_t{0}) : 0;
}

void combine_rows(const Context& ctx, const TableGroup& group, std::span<const Tensor> outputs) {
  const auto kernel = outputs[0].dtype() == DType::bf16  ? combine_kernel<bf16>
                      : outputs[0].dtype() == DType::f16 ? combine_kernel<f16>
                                                         : combine_kernel<float>;
  for (size_t first = 0; first < outputs.size(); first += kTables) {
    const auto part = outputs.subspan(first, std::min(kTables, outputs.size() - first));
    Outputs out;
    for (size_t e = 0; e < part.size(); ++e) out.of[e] = Vectors(part[e]);
    TableGroup served = group;
    served.tables += first, served.count = static_cast<int>(part.size());
    launch(ctx, "embedding.combine", {grid_of(ctx, served, group.max_bags, kBlock / 8)}, kernel,
           served.tables, out);
  }
}

void list_hits(const Context& ctx, const TableGroup& group, uint32_t* rows, uint32_t* bags) {
  launch(ctx, "embedding.list_hits", {grid_of(ctx, group, group.max_bags)}, list_hits_kernel, group.tables,
         rows, bags);
}

}  // namespace ctr::cuda
