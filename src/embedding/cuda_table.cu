// SPDX-License-Identifier: Apache-2.0
#include "embedding/cuda_table.cuh"

#include <algorithm>

#include "device/memory.h"
#include "embedding/cuda_index.cuh"
#include "embedding/dump.h"
#include "embedding/placement.h"
#include "kernels/elementwise.cuh"

namespace ctr::cuda {
namespace {

constexpr int64_t kChunk = int64_t{1} << 22;  // floats that travel at once

template <class T>
T* pointer(const Buffer& b) {
  return reinterpret_cast<T*>(b.data());
}
template <class T>
Tensor tensor(const Buffer& b, int64_t n) {
  return {dtype_of<T>, {n}, b.data()};
}

__global__ void initialize_kernel(TableView t, uint64_t seed, int64_t begin, int64_t end, int64_t key_offset,
                                  float bound) {
  const int64_t warps = int64_t{gridDim.x} * (kBlock / 32);
  for (int64_t r = begin + int64_t{blockIdx.x} * (kBlock / 32) + threadIdx.x / 32; r < end; r += warps)
    initialize_row(t, seed, static_cast<uint32_t>(r), t.entries ? t.keys[r] : key_offset + r, bound);
}

// `keys` are distinct: key i gets row i.
__global__ void insert_kernel(TableView t, int64_t n) {
  for (int64_t i = int64_t{blockIdx.x} * kBlock + threadIdx.x; i < n; i += int64_t{gridDim.x} * kBlock)
    t.entries[probe(t, t.keys[i], ClaimEmpty{t, t.keys[i]})].row = static_cast<uint32_t>(i);
}

void make_empty(const Context& ctx, Entry* entries, uint64_t n) {
  for_each(ctx, "embedding.clear", static_cast<int64_t>(n), [=] __device__(int64_t i) {
    entries[i] = {kEmptyKey, kNoRow, 0};
  });
}

void find_keys(const Context& ctx, const TableView& t, const int64_t* keys, uint32_t* rows, int64_t n) {
  for_each(ctx, "embedding.find", n, [=] __device__(int64_t i) { rows[i] = find_row(t, keys[i]); });
}

// Elements [0, width) of `to` in row rows[i] = those of values[i], where there is a row.
void write_rows(const Context& ctx, const uint32_t* rows, const float* values, int64_t n, int64_t width,
                float* to, int64_t stride) {
  for_each(ctx, "embedding.write_rows", n * width, [=] __device__(int64_t i) {
    const uint32_t row = rows[i / width];
    if (row != kNoRow) to[row * stride + i % width] = values[i];
  });
}

}  // namespace

CudaTable::CudaTable(const Context& ctx, const EmbeddingSpec& spec, uint32_t number)
    : ctx_(ctx),
      spec_(spec),
      number_(number),
      layout_(spec.optimizer, spec.dim),
      // The last step is padded so that rows stay aligned.
      stride_(static_cast<int>(layout_.dim * (1 + layout_.states)) +
              (layout_.has_last_step ? (layout_.dim % 4 == 0 ? 4 : 1) : 0)),
      capacity_(row_capacity(spec, ctx.rank, ctx.world_size)),
      size_(ctx.device, sizeof(uint32_t), "row count") {
  static_assert(2 * kMaxHashedRowsOnGpu < int64_t{kPending});  // entries
  const std::string what = fmt::format("embedding \"{}\"", spec.name);
  const bool one_hot = spec.type == EmbeddingType::localized_one_hot;
  require_rows(spec, capacity_, one_hot ? int64_t{kPending} - 1 : kMaxHashedRowsOnGpu, ctx.world_size);
  if (one_hot) one_hot_ = make_one_hot_index(spec, ctx.rank, ctx.world_size);
  rows_ = Buffer(ctx.device, static_cast<size_t>(capacity_) * stride_ * sizeof(float), what);
  if (one_hot_) {
    const auto n = static_cast<uint32_t>(capacity_);
    copy_to_device(ctx_, tensor<int32_t>(size_, 1), &n);
  } else {
    num_entries_ = static_cast<uint64_t>(2 * capacity_);
    entries_ = Buffer(ctx.device, (num_entries_ + 1) * sizeof(Entry), what);
    keys_ = Buffer(ctx.device, static_cast<size_t>(capacity_) * sizeof(int64_t), what);
    if (is_localized(spec))
      slot_ids_ = Buffer(ctx.device, static_cast<size_t>(capacity_) * sizeof(uint32_t), what);
  }
  clear();
}

void CudaTable::describe(TableView& view) const {
  view.rows = pointer<float>(rows_);
  view.dim = static_cast<int>(spec_.dim), view.stride = stride_, view.states = layout_.states;
  view.has_last_step = layout_.has_last_step;
  view.bound = initial_bound(spec_, 0), view.initial_state = initial_state(spec_.optimizer, 0);
  view.number = number_;
  view.size = pointer<uint32_t>(size_);
  view.entries = pointer<Entry>(entries_), view.num_entries = num_entries_, view.salt = hash_salt();
  view.keys = pointer<int64_t>(keys_), view.slot_ids = pointer<uint32_t>(slot_ids_);
  view.slots = static_cast<uint32_t>(spec_.slots);
}

int64_t CudaTable::bytes() const {
  size_t total = 0;
  for (const Buffer* buffer : {&rows_, &entries_, &keys_, &slot_ids_}) total += buffer->bytes();
  return static_cast<int64_t>(total);
}

int64_t CudaTable::size() const {
  uint32_t n = 0;
  copy_to_host(ctx_, &n, tensor<int32_t>(size_, 1));
  return n;
}

// Forgets all keys; one-hot tables, which have every key, start afresh.
void CudaTable::clear() {
  if (one_hot_) {
    const std::vector<int64_t> first_keys = slot_offsets(spec_);
    for (int64_t row = 0; row < capacity_;) {
      const auto [key, slot] = one_hot_->entry(row);
      const int64_t rows = first_keys[slot + 1] - key;
      initialize(row, row + rows, key - row, initial_bound(spec_, slot));
      row += rows;
    }
    return;
  }
  make_empty(ctx_, pointer<Entry>(entries_), num_entries_ + 1);
  const uint32_t none = 0;
  copy_to_device(ctx_, tensor<int32_t>(size_, 1), &none);
}

void CudaTable::initialize(int64_t begin, int64_t end, int64_t key_offset, float bound) const {
  if (begin == end) return;
  TableView view{};
  describe(view);
  launch(ctx_, "embedding.initialize", {grid_for(stream_of(ctx_), end - begin, kBlock / 32)},
         initialize_kernel, view, ctx_.seed, begin, end, key_offset, bound);
}

// Keys and slots of `count` rows from `begin` on.
void CudaTable::export_keys(int64_t begin, int64_t count, RowBlock& block) const {
  block.keys.resize(count);
  block.slot_ids.resize(is_localized(spec_) ? count : 0);
  if (count == 0) return;
  if (one_hot_) {
    for (int64_t r = 0; r < count; ++r) {
      const auto [key, slot] = one_hot_->entry(begin + r);
      block.keys[r] = key, block.slot_ids[r] = static_cast<uint64_t>(slot);
    }
    return;
  }
  copy_to_host(ctx_, block.keys.data(), Tensor(DType::i64, {count}, pointer<int64_t>(keys_) + begin));
  std::vector<uint32_t> slots(block.slot_ids.size());
  if (!slots.empty())
    copy_to_host(ctx_, slots.data(), Tensor(DType::i32, {count}, pointer<uint32_t>(slot_ids_) + begin));
  std::copy(slots.begin(), slots.end(), block.slot_ids.begin());
}

RowBlock CudaTable::export_rows(Range numbers, const RowParts& parts) const {
  const int64_t first = numbers.begin, n = std::max<int64_t>(0, std::min(numbers.end, size()) - first);
  const int64_t dim = spec_.dim;
  RowBlock block;
  export_keys(first, n, block);
  block.vectors.resize(parts.vectors ? n * dim : 0);
  block.states.assign(static_cast<size_t>(parts.num_states), std::vector<float>(n * dim));
  block.last_steps.resize(parts.last_steps ? n : 0);
  if (!parts.vectors && !parts.last_steps && parts.num_states == 0) return block;
  const int64_t rows_at_once = std::max<int64_t>(1, kChunk / stride_);
  std::vector<float> chunk(static_cast<size_t>(std::min(n, rows_at_once) * stride_));
  for (int64_t begin = 0; begin < n; begin += rows_at_once) {
    const int64_t count = std::min(rows_at_once, n - begin);
    copy_to_host(ctx_, chunk.data(),
                 Tensor(DType::f32, {count * stride_}, pointer<float>(rows_) + (first + begin) * stride_));
    for (int64_t r = 0; r < count; ++r) {
      const float* row = chunk.data() + r * stride_;
      if (parts.vectors) std::copy_n(row, dim, &block.vectors[(begin + r) * dim]);
      for (int s = 0; s < parts.num_states; ++s)
        std::copy_n(row + dim * (1 + parts.first_state + s), dim, &block.states[s][(begin + r) * dim]);
      if (parts.last_steps) block.last_steps[begin + r] = std::bit_cast<uint32_t>(row[stride_ - 1]);
    }
  }
  return block;
}

std::unique_ptr<RowIndex> CudaTable::new_index() const {
  return one_hot_ ? make_one_hot_index(spec_, ctx_.rank, ctx_.world_size)
                  : make_hash_index(spec_, ctx_.rank, ctx_.world_size);
}

void CudaTable::import_rows(const RowBlock& dump) {
  check_sizes(spec_, dump, true);
  const OwnedEntries mine = select_owned(spec_, dump, ctx_.rank, ctx_.world_size);
  const int64_t n = std::ssize(mine.entries);
  std::vector<uint32_t> rows(mine.entries.size());
  new_index()->add(mine.entries, rows);
  clear();
  if (!one_hot_) {
    std::vector<int64_t> keys;
    std::vector<uint32_t> slots;
    for (const auto& [key, slot] : mine.entries)
      keys.push_back(key), slots.push_back(static_cast<uint32_t>(slot));
    const auto count = static_cast<uint32_t>(n);
    copy_to_device(ctx_, tensor<int64_t>(keys_, n), keys.data());
    if (slot_ids_.data()) copy_to_device(ctx_, tensor<int32_t>(slot_ids_, n), slots.data());
    copy_to_device(ctx_, tensor<int32_t>(size_, 1), &count);
    TableView view{};
    describe(view);
    if (n > 0) launch(ctx_, "embedding.insert", {grid_for(stream_of(ctx_), n)}, insert_kernel, view, n);
    initialize(0, n, 0, initial_bound(spec_, 0));
  }
  scatter(rows, mine.positions, dump.vectors.data(), spec_.dim, 0);
}

void CudaTable::import_states(const RowBlock& dump) {
  check_sizes(spec_, dump, false);
  const OwnedEntries mine = select_owned(spec_, dump, ctx_.rank, ctx_.world_size);
  const std::vector<uint32_t> rows = find(mine.entries);
  for (size_t s = 0; s < dump.states.size(); ++s)
    scatter(rows, mine.positions, dump.states[s].data(), spec_.dim, spec_.dim * static_cast<int64_t>(1 + s));
  if (dump.last_steps.empty()) return;
  std::vector<float> steps;
  for (const int64_t step : dump.last_steps)
    steps.push_back(std::bit_cast<float>(static_cast<uint32_t>(step)));
  scatter(rows, mine.positions, steps.data(), 1, stride_ - 1);
}

std::vector<uint32_t> CudaTable::find(const std::vector<RowIndex::Entry>& entries) const {
  std::vector<uint32_t> rows(entries.size());
  if (one_hot_) {
    one_hot_->find_entries(entries, rows);
    return rows;
  }
  if (entries.empty()) return rows;
  const int64_t n = std::ssize(entries);
  std::vector<int64_t> keys;
  for (const auto& entry : entries) keys.push_back(entry.key);
  const Buffer device_keys(ctx_.device, keys.size() * sizeof(int64_t), "keys to find");
  const Buffer device_rows(ctx_.device, keys.size() * sizeof(uint32_t), "rows to find");
  copy_to_device(ctx_, tensor<int64_t>(device_keys, n), keys.data());
  TableView view{};
  describe(view);
  find_keys(ctx_, view, pointer<int64_t>(device_keys), pointer<uint32_t>(device_rows), n);
  copy_to_host(ctx_, rows.data(), tensor<int32_t>(device_rows, n));
  return rows;
}

// Elements [first_element, first_element + width) of row rows[i] = values[positions[i]], where there is a
// row.
void CudaTable::scatter(const std::vector<uint32_t>& rows, const std::vector<int64_t>& positions,
                        const float* values, int64_t width, int64_t first_element) const {
  const int64_t n = std::ssize(rows), at_once = std::max<int64_t>(1, kChunk / width);
  if (n == 0) return;
  const Buffer device_values(ctx_.device, static_cast<size_t>(std::min(n, at_once) * width) * sizeof(float),
                             "values");
  const Buffer device_rows(ctx_.device, static_cast<size_t>(std::min(n, at_once)) * sizeof(uint32_t), "rows");
  std::vector<float> chunk;
  for (int64_t begin = 0; begin < n; begin += at_once) {
    const int64_t count = std::min(at_once, n - begin);
    chunk.resize(static_cast<size_t>(count * width));
    for (int64_t i = 0; i < count; ++i)
      std::copy_n(values + positions[begin + i] * width, width, &chunk[i * width]);
    copy_to_device(ctx_, tensor<float>(device_values, count * width), chunk.data());
    copy_to_device(ctx_, tensor<int32_t>(device_rows, count), rows.data() + begin);
    write_rows(ctx_, pointer<uint32_t>(device_rows), pointer<float>(device_values), count, width,
               pointer<float>(rows_) + first_element, stride_);
  }
}

}  // namespace ctr::cuda
