// SPDX-License-Identifier: Apache-2.0
#include "embedding/cuda_table.cuh"

#include <algorithm>
#include <numeric>

#include "device/memory.h"
#include "embedding/cuda_index.cuh"
#include "embedding/placement.h"
#include "kernels/elementwise.cuh"

namespace ctr::cuda {
namespace {

constexpr int64_t kRowsAtOnce = int64_t{1} << 20;  // on their way between host and device

// Rows numbers[i], or begin + i where there are none.
__global__ void initialize_kernel(TableView t, uint64_t seed, const uint32_t* numbers, int64_t begin,
                                  int64_t n, int64_t key_offset, Initializer fresh) {
  const int64_t warps = int64_t{gridDim.x} * (kBlock / 32);
  for (int64_t i = int64_t{blockIdx.x} * (kBlock / 32) + threadIdx.x / 32; i < n; i += warps) {
    const int64_t row = numbers ? int64_t{numbers[i]} : begin + i;
    initialize_row(t, seed, static_cast<uint32_t>(row), t.entries ? t.keys[row] : key_offset + row, fresh);
  }
}

// A key that is not there gets the row.
__device__ inline void place(const TableView& t, int64_t key, uint32_t row) {
  t.entries[probe(t, key, ClaimEmpty{t, key})].row = row;
}

void make_empty(const Context& ctx, Entry* entries, uint64_t n) {
  for_each(ctx, "embedding.clear", static_cast<int64_t>(n),
           [=] __device__(int64_t i) { entries[i].clear(); });
}

void find_keys(const Context& ctx, const TableView& t, const int64_t* keys, uint32_t* rows, int64_t n) {
  for_each(ctx, "embedding.find", n, [=] __device__(int64_t i) { rows[i] = find_row(t, keys[i]); });
}

void insert_keys(const Context& ctx, const TableView& t, const int64_t* keys, const uint32_t* slots,
                 const uint32_t* rows, int64_t n) {
  for_each(ctx, "embedding.insert", n, [=] __device__(int64_t i) {
    const uint32_t row = rows[i];
    t.keys[row] = keys[i];
    if (t.slot_ids) t.slot_ids[row] = slots[i];
    set_used(t, row);
    place(t, keys[i], row);
  });
}

// The free rows [begin, begin + n) in the order in which they were left.
void list_free_rows(const Context& ctx, const TableView& t, int64_t begin, int64_t n, uint32_t* rows) {
  for_each(ctx, "embedding.list_free", n,
           [=] __device__(int64_t i) { rows[i] = t.entries[begin + i].free_row; });
}

void leave_rows(const Context& ctx, const TableView& t, const uint32_t* rows, int64_t n, int64_t free) {
  for_each(ctx, "embedding.leave", n, [=] __device__(int64_t i) {
    t.entries[free + i].free_row = rows[i];
    set_free(t, rows[i]);
  });
}

void place_used_rows(const Context& ctx, const TableView& t, int64_t end_row) {
  for_each(ctx, "embedding.place", end_row, [=] __device__(int64_t r) {
    if (!(t.free_bits[r / 32] >> (r % 32) & 1)) place(t, t.keys[r], static_cast<uint32_t>(r));
  });
}

void touch_rows(const Context& ctx, const TableView& t, const uint32_t* rows, int64_t n, uint32_t epoch,
                float score) {
  for_each(ctx, "embedding.touch", n, [=] __device__(int64_t i) {
    if (rows[i] == kNoRow) return;
    if (t.epochs) t.epochs[rows[i]] = epoch;
    if (t.scores) atomicAdd(&t.scores[rows[i]], score);
  });
}

}  // namespace

CudaTable::CudaTable(const Context& ctx, const EmbeddingSpec& spec, uint32_t number)
    : RowStore(spec.name),
      ctx_(ctx),
      spec_(spec),
      number_(number),
      layout_(spec.optimizer, spec.dim),
      // The last step is padded so that rows stay aligned.
      stride_(static_cast<int>(layout_.dim * (1 + layout_.states)) +
              (layout_.has_last_step ? (layout_.dim % 4 == 0 ? 4 : 1) : 0)),
      capacity_(spec.type == EmbeddingType::localized_one_hot
                    ? require_rows(spec, row_capacity(spec, ctx.rank, ctx.world_size), int64_t{kPending} - 1,
                                   ctx.world_size)
                    : hashed_rows(spec, ctx.rank, kMaxHashedRowsOnGpu, ctx.world_size)),
      counts_(ctx.device, sizeof(RowCounts), "row counts") {
  static_assert(2 * kMaxHashedRowsOnGpu < int64_t{kPending});  // entries
  const bool one_hot = spec.type == EmbeddingType::localized_one_hot;
  if (one_hot) one_hot_ = make_one_hot_index(spec, ctx.rank, ctx.world_size);
  const auto capacity = static_cast<size_t>(capacity_);
  const auto make = [&](size_t bytes) {
    return Buffer(ctx.device, bytes, fmt::format("embedding \"{}\"", spec.name));
  };
  rows_ = make(capacity * stride_ * sizeof(float));
  if (spec.columns.epoch) epochs_ = make(capacity * sizeof(uint32_t));
  if (spec.columns.score) scores_ = make(capacity * sizeof(float));
  if (!one_hot) {
    num_entries_ = 2 * capacity;
    entries_ = make((num_entries_ + 1) * sizeof(Entry));
    keys_ = make(capacity * sizeof(int64_t));
    free_bits_ = make((capacity / 32 + 1) * sizeof(uint32_t));
    if (is_localized(spec)) slot_ids_ = make(capacity * sizeof(uint32_t));
  }
  clear();
}

TableView CudaTable::view() const {
  TableView view{};
  describe(view);
  return view;
}

void CudaTable::describe(TableView& view) const {
  view.rows = pointer<float>(rows_);
  view.dim = static_cast<int>(spec_.dim), view.stride = stride_, view.states = layout_.states;
  view.has_last_step = layout_.has_last_step;
  view.fresh = fresh_rows(spec_, 0), view.initial_state = initial_state(spec_.optimizer, 0);
  view.number = number_;
  view.row_counts = pointer<RowCounts>(counts_), view.report = report.place();
  view.entries = pointer<Entry>(entries_), view.num_entries = num_entries_, view.salt = hash_salt();
  view.keys = pointer<int64_t>(keys_), view.slot_ids = pointer<uint32_t>(slot_ids_);
  view.free_bits = pointer<uint32_t>(free_bits_);
  view.epochs = pointer<uint32_t>(epochs_), view.scores = pointer<float>(scores_);
  view.slots = static_cast<uint32_t>(spec_.slots);
}

int64_t CudaTable::bytes() const {
  size_t total = 0;
  for (const Buffer* buffer : {&rows_, &entries_, &keys_, &slot_ids_, &free_bits_, &epochs_, &scores_})
    total += buffer->bytes();
  return static_cast<int64_t>(total);
}

RowCounts CudaTable::counts() const {
  RowCounts counts{};
  memory_backend(ctx_.device).copy_to_host(ctx_, &counts, counts_.data(), sizeof counts);
  return counts;
}

void CudaTable::set_counts(RowCounts counts) const {
  memory_backend(ctx_.device).copy_to_device(ctx_, counts_.data(), &counts, sizeof counts);
}

int64_t CudaTable::size() const {
  const RowCounts c = counts();
  return int64_t{c.end_row} - c.free;
}

CudaTable::Staging CudaTable::make_staging(int64_t rows, int64_t floats) const {
  // A step without backward() may still list its hits aside, by the entries as they are.
  memory_backend(ctx_.device).synchronize(ctx_);
  const int64_t n = std::min(rows, kRowsAtOnce);
  const auto make = [&](int64_t bytes) {
    return Buffer(ctx_.device, static_cast<size_t>(bytes), "rows on their way");
  };
  return {n, floats, make(n * 8), make(n * 4), make(is_localized(spec_) ? n * 4 : 0), make(floats * 4)};
}

// Forgets all keys; one-hot tables, which have every key, start afresh.
void CudaTable::clear() {
  if (one_hot_) {
    set_counts({static_cast<uint32_t>(capacity_), 0});
    const std::vector<int64_t> first_keys = slot_offsets(spec_);
    for (int64_t row = 0; row < capacity_;) {
      const auto [key, slot] = one_hot_->entry(row);
      const int64_t n = first_keys[slot + 1] - key;
      initialize(nullptr, row, n, key - row, fresh_rows(spec_, slot));
      row += n;
    }
    return;
  }
  make_empty(ctx_, pointer<Entry>(entries_), num_entries_ + 1);
  memory_backend(ctx_.device).fill_zero(ctx_, free_bits_.data(), free_bits_.bytes(), 1, 0);
  set_counts({0, 0});
}

void CudaTable::initialize(const uint32_t* numbers, int64_t begin, int64_t n, int64_t key_offset,
                           const Initializer& fresh) const {
  if (n > 0)
    launch(ctx_, "embedding.initialize", {grid_for(stream_of(ctx_), n, kBlock / 32)}, initialize_kernel,
           view(), ctx_.seed, numbers, begin, n, key_offset, fresh);
}

void CudaTable::find(std::span<const RowEntry> entries, std::span<uint32_t> rows) const {
  if (one_hot_) return one_hot_->find_entries(entries, rows);
  const Staging staging = make_staging(std::ssize(entries), 0);
  std::vector<int64_t> keys;
  for (size_t begin = 0; begin < entries.size(); begin += keys.size()) {
    keys.clear();
    for (const RowEntry& entry : staging.next(entries, begin)) keys.push_back(entry.key);
    copy_to_device(ctx_, tensor<int64_t>(staging.keys, std::ssize(keys)), keys.data());
    find_keys(ctx_, view(), pointer<int64_t>(staging.keys), pointer<uint32_t>(staging.numbers),
              std::ssize(keys));
    copy_to_host(ctx_, &rows[begin], tensor<int32_t>(staging.numbers, std::ssize(keys)));
  }
}

void CudaTable::find_or_insert(std::span<const RowEntry> entries, std::span<uint32_t> rows) {
  find(entries, rows);
  std::vector<RowEntry> missing, fresh;
  std::vector<int64_t> keys;
  for (size_t i = 0; i < entries.size(); ++i)
    if (rows[i] == kNoRow) missing.push_back(entries[i]), keys.push_back(entries[i].key);
  if (missing.empty()) return;
  HashTable distinct(std::ssize(missing));  // numbers them in order of appearance
  std::vector<uint32_t> order(missing.size(), kNoRow);
  distinct.insert_missing(keys, order);
  for (size_t i = 0; i < missing.size(); ++i)
    if (order[i] == fresh.size()) fresh.push_back(missing[i]);
  const RowCounts c = counts();
  const int64_t n = std::ssize(fresh), used = int64_t{c.end_row} - c.free;
  if (used + n > capacity_) fail_overflow(spec_, ctx_.rank, capacity_, used, n, MoreKeys::may_come);
  const Staging staging = make_staging(n, 0);
  const std::vector<uint32_t> numbers = next_rows(staging, c, n);
  insert(staging, fresh, numbers);
  const int64_t reused = std::min<int64_t>(n, c.free);
  set_counts({static_cast<uint32_t>(c.end_row + n - reused), static_cast<uint32_t>(c.free - reused)});
  report.add(n);
  for (size_t i = 0, k = 0; i < rows.size(); ++i)
    if (rows[i] == kNoRow) rows[i] = numbers[order[k++]];
}

// Those that the next n new keys get.
std::vector<uint32_t> CudaTable::next_rows(const Staging& staging, RowCounts counts, int64_t n) const {
  const int64_t reused = std::min<int64_t>(n, counts.free);
  std::vector<uint32_t> rows(static_cast<size_t>(n));
  for (int64_t begin = 0; begin < reused; begin += staging.rows) {
    const int64_t count = std::min(staging.rows, reused - begin);
    list_free_rows(ctx_, view(), counts.free - begin - count, count, pointer<uint32_t>(staging.numbers));
    copy_to_host(ctx_, &rows[static_cast<size_t>(begin)], tensor<int32_t>(staging.numbers, count));
    std::reverse(rows.begin() + begin, rows.begin() + begin + count);
  }
  std::iota(rows.begin() + reused, rows.end(), counts.end_row);
  return rows;
}

// Keys that are not there get these rows, and these their initial values.
void CudaTable::insert(const Staging& staging, std::span<const RowEntry> entries,
                       std::span<const uint32_t> rows) const {
  std::vector<int64_t> keys;
  std::vector<uint32_t> slots;
  for (size_t begin = 0; begin < entries.size(); begin += keys.size()) {
    keys.clear(), slots.clear();
    for (const auto& [key, slot] : staging.next(entries, begin))
      keys.push_back(key), slots.push_back(static_cast<uint32_t>(slot));
    const int64_t n = std::ssize(keys);
    const auto* numbers = pointer<uint32_t>(staging.numbers);
    copy_to_device(ctx_, tensor<int64_t>(staging.keys, n), keys.data());
    copy_to_device(ctx_, tensor<int32_t>(staging.numbers, n), &rows[begin]);
    if (staging.slots.data()) copy_to_device(ctx_, tensor<int32_t>(staging.slots, n), slots.data());
    insert_keys(ctx_, view(), pointer<int64_t>(staging.keys), pointer<uint32_t>(staging.slots), numbers, n);
    initialize(numbers, 0, n, 0, fresh_rows(spec_, 0));
  }
}

// The predicate has seen every row before the first one goes.
int64_t CudaTable::erase_if(const std::function<bool(const RowInfo&)>& predicate) {
  const std::vector<uint32_t> rows = select(predicate);
  if (rows.empty()) return 0;
  const Staging staging = make_staging(std::ssize(rows), 0);
  if (one_hot_)
    restart(staging, rows);
  else
    leave(staging, rows);
  return std::ssize(rows);
}

// One-hot rows, in ascending order, as they were at first.
void CudaTable::restart(const Staging& staging, std::span<const uint32_t> rows) const {
  const std::vector<int64_t> first_keys = slot_offsets(spec_);
  for (size_t begin = 0, n = 0; begin < rows.size(); begin += n) {
    const auto [key, slot] = one_hot_->entry(rows[begin]);
    const int64_t key_offset = key - rows[begin], end_row = first_keys[slot + 1] - key_offset;
    const auto part = staging.next(rows, begin);
    n = static_cast<size_t>(std::lower_bound(part.begin(), part.end(), end_row) - part.begin());
    copy_to_device(ctx_, tensor<int32_t>(staging.numbers, static_cast<int64_t>(n)), &rows[begin]);
    initialize(pointer<uint32_t>(staging.numbers), 0, static_cast<int64_t>(n), key_offset,
               fresh_rows(spec_, slot));
  }
}

// Probing knows no gaps: the other keys are placed anew.
void CudaTable::leave(const Staging& staging, std::span<const uint32_t> rows) {
  RowCounts c = counts();
  for (size_t begin = 0; begin < rows.size(); begin += static_cast<size_t>(staging.rows)) {
    const int64_t n = std::ssize(staging.next(rows, begin));
    copy_to_device(ctx_, tensor<int32_t>(staging.numbers, n), &rows[begin]);
    leave_rows(ctx_, view(), pointer<uint32_t>(staging.numbers), n, c.free);
    c.free += static_cast<uint32_t>(n);
  }
  make_empty(ctx_, pointer<Entry>(entries_), num_entries_ + 1);
  place_used_rows(ctx_, view(), c.end_row);
  set_counts(c);
}

void CudaTable::touch(std::span<const uint32_t> rows, uint32_t epoch, float score) {
  const Staging staging = make_staging(std::ssize(rows), 0);
  for (size_t begin = 0; begin < rows.size(); begin += static_cast<size_t>(staging.rows)) {
    const int64_t n = std::ssize(staging.next(rows, begin));
    copy_to_device(ctx_, tensor<int32_t>(staging.numbers, n), &rows[begin]);
    touch_rows(ctx_, view(), pointer<uint32_t>(staging.numbers), n, epoch, score);
  }
}

}  // namespace ctr::cuda
