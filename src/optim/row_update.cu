// SPDX-License-Identifier: Apache-2.0
#include "optim/row_update.cuh"

#include "device/cuda.cuh"
#include "kernels/vectors.cuh"
#include "optim/lazy_adam.h"

namespace ctr::cuda {
namespace {

// Tables that one launch serves.
constexpr size_t kTables = 64;

struct Gradients {
  Vectors of[kTables];  // of a table's bags
  int table[kTables];
};

// V elements of a row that one thread works on, `lanes` threads side by side.
template <int V>
struct Lanes {
  int units, lanes, lane, group, groups;
  __device__ explicit Lanes(int dim) : units(dim / V) {
    lanes = units >= 32 ? 32 : units <= 1 ? 1 : 1 << (32 - __clz(units - 1));
    lane = threadIdx.x % lanes, group = threadIdx.x / lanes, groups = kBlock / lanes;
  }
};

template <int V>
struct Values {
  float v[V] = {};
};

template <int V>
__device__ Values<V> read(const float* p) {
  Values<V> out;
  reinterpret_cast<Pack<float, V>&>(out) = *reinterpret_cast<const Pack<float, V>*>(p);
  return out;
}
template <int V>
__device__ void write(float* p, const Values<V>& values) {
  *reinterpret_cast<Pack<float, V>*>(p) = reinterpret_cast<const Pack<float, V>&>(values);
}

__device__ inline float* place_of(const RowUpdateView& t, uint32_t row, int element) {
  return t.rows + int64_t{row} * t.stride + element;
}

// One optimizer step on V elements of a row, whose weights are w.
template <int V>
__device__ void apply(const RowUpdateView& t, const StepConstants& c, uint32_t row, int element, Values<V> w,
                      const Values<V>& g) {
  float* place = place_of(t, row, element);
  constexpr int kMaxStates = 2;
  float s[V][kMaxStates];
  for (int k = 0; k < t.states; ++k) {
    const Values<V> state = read<V>(place + (1 + k) * t.dim);
    for (int i = 0; i < V; ++i) s[i][k] = state.v[i];
  }
  if (t.has_last_step) {
    const uint32_t last = __float_as_uint(t.rows[(int64_t{row} + 1) * t.stride - 1]);
    const SkippedSteps skipped = skipped_steps(t.optimizer.beta1, t.optimizer.beta2, c, last);
    for (int i = 0; i < V; ++i) LazyAdamRule::step(w.v[i], g.v[i] * c.grad_scale, s[i], 1, c, skipped);
  } else {
    with_rule(t.optimizer.type, [&](auto rule) {
      for (int i = 0; i < V; ++i) rule.step(w.v[i], g.v[i] * c.grad_scale, s[i], 1, c);
    });
  }
  write(place, w);
  for (int k = 0; k < t.states; ++k) {
    Values<V> state;
    for (int i = 0; i < V; ++i) state.v[i] = s[i][k];
    write(place + (1 + k) * t.dim, state);
  }
}

// Runs of hits of one row that lie within a tile are finished; the others leave the tile's share in
// `partial`: [0] of a run that began earlier, [1] of one that begins here and goes on. Everything that kAhead
// hits read is asked for before the first is used.
template <int V, class Bags>
__device__ void update_tile(const RowUpdateView& t, const StepConstants& c, const Bags& d_bags, uint32_t tile,
                            int element) {
  constexpr int kAhead = 4;
  const uint32_t n = *t.num_hits, begin = tile * t.tile, end = min(n, begin + t.tile);
  bool continues = begin > 0 && t.hit_rows[begin - 1] == t.hit_rows[begin];
  Values<V> sum;
  for (uint32_t first = begin; first < end; first += kAhead) {
    uint32_t rows[kAhead];
    bool same[kAhead];  // the next hit is of the same row
    decltype(d_bags.template read<V>(0, 0)) d[kAhead];
    float factor[kAhead];
    Values<V> w[kAhead];
    // One step for all hits before the next for any; beyond the end the last hit is read again, and not used.
    uint32_t bags[kAhead], next[kAhead];
#pragma unroll
    for (int k = 0; k < kAhead; ++k) {
      const uint32_t i = min(first + k, end - 1);
      bags[k] = t.hit_bags[i];
      rows[k] = t.hit_rows[i];
      next[k] = t.hit_rows[min(i + 1, n - 1)];
    }
#pragma unroll
    for (int k = 0; k < kAhead; ++k) {
      same[k] = next[k] == rows[k] && first + k + 1 < n;
      d[k] = d_bags.template read<V>(bags[k], element);
      factor[k] = t.bag_factors ? t.bag_factors[bags[k]] : 1.0f;
      if (!same[k]) w[k] = read<V>(place_of(t, rows[k] - t.row_base, element));
    }
#pragma unroll
    for (int k = 0; k < kAhead; ++k) {
      const uint32_t i = first + k;
      if (i >= end) break;
      for (int e = 0; e < V; ++e) sum.v[e] += factor[k] * load(d[k].v[e]);
      if (same[k] && i + 1 < end) continue;
      if (continues || same[k])
        write(t.partial + (int64_t{tile} * 2 + !continues) * t.dim + element, sum);
      else
        apply(t, c, rows[k] - t.row_base, element, w[k], sum);
      sum = {};
      continues = false;
    }
  }
}

template <int V, class Bags>
__device__ void update_tiles(const RowUpdateView& t, const Bags& d_bags) {
  const Lanes<V> l(t.dim);
  const StepConstants c = *t.constants;
  const uint32_t tiles = (*t.num_hits + t.tile - 1) / t.tile;
  for (uint32_t tile = blockIdx.x * l.groups + l.group; tile < tiles; tile += gridDim.x * l.groups)
    for (int unit = l.lane; unit < l.units; unit += l.lanes) update_tile<V>(t, c, d_bags, tile, unit * V);
}

// The last tile that begins inside the run of `row`, which goes on beyond `tile`.
__device__ inline uint32_t last_tile_of(const RowUpdateView& t, uint32_t tile, uint32_t row, uint32_t n) {
  const auto inside = [&](uint32_t u) { return int64_t{u} * t.tile < n && t.hit_rows[u * t.tile] == row; };
  uint32_t step = 1;
  while (inside(tile + 2 * step)) step *= 2;
  uint32_t low = tile + step, high = tile + 2 * step;  // inside, not inside
  while (high - low > 1) {
    const uint32_t middle = low + (high - low) / 2;
    (inside(middle) ? low : high) = middle;
  }
  return low;
}

// Finishes the runs that cross tiles, each where it begins, its parts in order.
template <int V>
__device__ void update_crossing(const RowUpdateView& t) {
  constexpr int kAhead = 8;
  const Lanes<V> l(t.dim);
  const StepConstants c = *t.constants;
  const uint32_t n = *t.num_hits, tiles = (n + t.tile - 1) / t.tile;
  for (uint32_t tile = blockIdx.x * l.groups + l.group; tile < tiles; tile += gridDim.x * l.groups) {
    const uint32_t end = (tile + 1) * t.tile;
    if (end >= n || t.hit_rows[end - 1] != t.hit_rows[end]) continue;
    const uint32_t row = t.hit_rows[end];
    if (tile > 0 && t.hit_rows[tile * t.tile - 1] == row) continue;  // it began earlier
    const uint32_t last = last_tile_of(t, tile, row, n);
    for (int unit = l.lane; unit < l.units; unit += l.lanes) {
      const auto part = [&](uint32_t u) {
        return read<V>(t.partial + (int64_t{u} * 2 + (u == tile)) * t.dim + unit * V);
      };
      Values<V> sum;
      for (uint32_t first = tile; first <= last; first += kAhead) {
        Values<V> parts[kAhead];
#pragma unroll
        for (int k = 0; k < kAhead; ++k)
          if (first + k <= last) parts[k] = part(first + k);
#pragma unroll
        for (int k = 0; k < kAhead; ++k)
          for (int e = 0; e < V && first + k <= last; ++e) sum.v[e] += parts[k].v[e];
      }
      const uint32_t local = row - t.row_base;
      apply(t, c, local, unit * V, read<V>(place_of(t, local, unit * V)), sum);
    }
  }
}

// Rows without a hit, with gradient 0.
template <int V>
__device__ void update_others(const RowUpdateView& t) {
  if (!t.every_row) return;
  const Lanes<V> l(t.dim);
  const StepConstants c = *t.constants;
  for (uint32_t row = blockIdx.x * l.groups + l.group; row < *t.num_rows; row += gridDim.x * l.groups) {
    if (t.hit_bits[row / 32] >> (row % 32) & 1) continue;
    for (int unit = l.lane; unit < l.units; unit += l.lanes)
      apply(t, c, row, unit * V, read<V>(place_of(t, row, unit * V)), Values<V>());
  }
}

// Rows whose length is a multiple of four are read four elements at a time.
__device__ bool is_wide(const RowUpdateView& t) { return t.dim % 4 == 0 && t.stride % 4 == 0; }

template <class T>
__global__ void __launch_bounds__(kBlock, 2) tiles_kernel(const RowUpdateView* tables, Gradients gradients) {
  const RowUpdateView& t = tables[gradients.table[blockIdx.y]];
  const Vectors& d_bags = gradients.of[blockIdx.y];
  T* data = static_cast<T*>(d_bags.data);
  if (!is_wide(t))
    update_tiles<1>(t, PlacedVectors<T>{data, d_bags.places, false});
  else if (!d_bags.wide)
    update_tiles<4>(t, PlacedVectors<T>{data, d_bags.places, false});
  else if (d_bags.packed)
    update_tiles<4>(t, PackedVectors<T>{data, t.dim});
  else
    update_tiles<4>(t, PlacedVectors<T>{data, d_bags.places, true});
}
__global__ void crossing_kernel(const RowUpdateView* tables, Gradients gradients) {
  const RowUpdateView& t = tables[gradients.table[blockIdx.y]];
  if (blockIdx.x == 0 && threadIdx.x == 0) ++*t.steps_done;
  is_wide(t) ? update_crossing<4>(t) : update_crossing<1>(t);
}
__global__ void others_kernel(const RowUpdateView* tables, Gradients gradients) {
  const RowUpdateView& t = tables[gradients.table[blockIdx.y]];
  is_wide(t) ? update_others<4>(t) : update_others<1>(t);
}
__global__ void last_step_kernel(const RowUpdateView* tables, Gradients gradients) {
  const RowUpdateView& t = tables[gradients.table[blockIdx.y]];
  if (!t.has_last_step) return;
  const float step = __uint_as_float(static_cast<uint32_t>(t.constants->step));
  for (uint32_t i = blockIdx.x * kBlock + threadIdx.x; i < *t.num_hits; i += gridDim.x * kBlock)
    t.rows[(int64_t{t.hit_rows[i] - t.row_base} + 1) * t.stride - 1] = step;
}

DType gradients_type(std::span<const Tensor> d_bags) {
  for (const Tensor& d : d_bags)
    if (d) return d.dtype();
  return DType::f32;
}

void update_tables(const Context& ctx, const RowUpdateView* tables, const Gradients& gradients,
                   unsigned count, DType dtype, const RowUpdateLaunch& shape) {
  Stream& stream = stream_of(ctx);
  const auto grid = [&](int64_t items, int64_t items_per_block) {
    return dim3(std::max(1u, grid_for(stream, items, items_per_block) / count), count);
  };
  constexpr int64_t kGroups = kBlock / 32;
  const auto kernel = dtype == DType::bf16  ? tiles_kernel<bf16>
                      : dtype == DType::f16 ? tiles_kernel<f16>
                                            : tiles_kernel<float>;
  launch(ctx, "row_update.tiles", {grid(shape.max_tiles, kGroups)}, kernel, tables, gradients);
  launch(ctx, "row_update.crossing", {grid(shape.max_tiles, kGroups)}, crossing_kernel, tables, gradients);
  if (shape.max_rows > 0)
    launch(ctx, "row_update.others", {grid(shape.max_rows, kGroups)}, others_kernel, tables, gradients);
  if (shape.has_lazy)
    launch(ctx, "row_update.last_step", {grid(shape.max_hits, kBlock)}, last_step_kernel, tables, gradients);
}

}  // namespace

void update_rows(const Context& ctx, const RowUpdateView* tables, std::span<const Tensor> d_bags,
                 const RowUpdateLaunch& shape) {
  if (shape.max_hits == 0) return;
  Gradients gradients;
  unsigned count = 0;
  for (size_t i = 0; i < d_bags.size(); ++i) {
    const Tensor& d = d_bags[i];
    if (d) {  // else it is frozen
      gradients.of[count] = Vectors(d);
      gradients.table[count++] = static_cast<int>(i);
    }
    if (count == kTables || (count > 0 && i + 1 == d_bags.size())) {
      update_tables(ctx, tables, gradients, count, gradients_type(d_bags), shape);
      count = 0;
    }
  }
}

}  // namespace ctr::cuda
