// SPDX-License-Identifier: Apache-2.0
// Rows of a GPU on their way to and from the host.
#include <algorithm>
#include <bit>

#include "device/memory.h"
#include "embedding/cuda_table.cuh"
#include "embedding/dump.h"
#include "embedding/placement.h"
#include "kernels/elementwise.cuh"

namespace ctr::cuda {
namespace {

constexpr int64_t kChunk = int64_t{1} << 22;      // floats that travel at once
constexpr int64_t kInfoBlock = int64_t{1} << 18;  // rows that a predicate sees between two waits

// Elements [0, width) of `to` in row rows[i] = those of values[i], where there is a row.
void write_rows(const Context& ctx, const uint32_t* rows, const float* values, int64_t n, int64_t width,
                float* to, int64_t stride) {
  for_each(ctx, "embedding.write_rows", n * width, [=] __device__(int64_t i) {
    const uint32_t row = rows[i / width];
    if (row != kNoRow) to[row * stride + i % width] = values[i];
  });
}

template <class T>
std::vector<T> download(const Context& ctx, const Buffer& buffer, int64_t begin, int64_t count) {
  std::vector<T> values(buffer.data() ? static_cast<size_t>(count) : 0);
  if (!values.empty())
    memory_backend(ctx.device)
        .copy_to_host(ctx, values.data(), pointer<T>(buffer) + begin, values.size() * sizeof(T));
  return values;
}

// Those at the given places, which ascend.
template <class T>
void keep(std::vector<T>& values, const std::vector<uint32_t>& places) {
  if (values.empty()) return;
  for (size_t i = 0; i < places.size(); ++i) values[i] = values[places[i]];
  values.resize(places.size());
}

}  // namespace

// Which of `count` rows from `begin` on have keys, counted from `begin`.
std::vector<uint32_t> CudaTable::rows_in_use(int64_t begin, int64_t count) const {
  const int64_t first_word = begin / 32, words = divide_up(begin + count, 32) - first_word;
  const auto free_bits = download<uint32_t>(ctx_, free_bits_, first_word, count > 0 ? words : 0);
  std::vector<uint32_t> rows;
  rows.reserve(static_cast<size_t>(count));
  for (int64_t r = begin; r < begin + count; ++r)
    if (free_bits.empty() || !(free_bits[r / 32 - first_word] >> (r % 32) & 1))
      rows.push_back(static_cast<uint32_t>(r - begin));
  return rows;
}

// Keys and slots of `count` rows from `begin` on.
void CudaTable::export_keys(int64_t begin, int64_t count, RowBlock& block) const {
  if (!one_hot_) {
    block.keys = download<int64_t>(ctx_, keys_, begin, count);
    const auto slots = download<uint32_t>(ctx_, slot_ids_, begin, count);
    block.slot_ids.assign(slots.begin(), slots.end());
    return;
  }
  for (int64_t r = begin; r < begin + count; ++r) {
    const auto [key, slot] = one_hot_->entry(r);
    block.keys.push_back(key), block.slot_ids.push_back(static_cast<uint64_t>(slot));
  }
}

// The rows to erase, in ascending order.
std::vector<uint32_t> CudaTable::select(const std::function<bool(const RowInfo&)>& predicate) const {
  std::vector<uint32_t> selected;
  const int64_t end = end_row();
  for (int64_t begin = 0; begin < end; begin += kInfoBlock) {
    const int64_t count = std::min(kInfoBlock, end - begin);
    RowBlock block;
    export_keys(begin, count, block);
    const auto epochs = download<uint32_t>(ctx_, epochs_, begin, count);
    const auto scores = download<float>(ctx_, scores_, begin, count);
    for (const uint32_t i : rows_in_use(begin, count)) {
      const RowInfo info{static_cast<uint32_t>(begin + i), block.keys[i],
                         block.slot_ids.empty() ? 0 : static_cast<int64_t>(block.slot_ids[i]),
                         epochs.empty() ? 0 : epochs[i], scores.empty() ? 0 : scores[i]};
      if (!is_pinned(info.row) && predicate(info)) selected.push_back(info.row);
    }
  }
  return selected;
}

RowBlock CudaTable::export_rows(Range numbers, const RowParts& parts) const {
  const int64_t first = numbers.begin, dim = spec_.dim;
  const int64_t count = std::max<int64_t>(0, std::min(numbers.end, end_row()) - first);
  const std::vector<uint32_t> used = rows_in_use(first, count);
  const size_t n = used.size(), floats = n * static_cast<size_t>(dim);
  RowBlock block;
  export_keys(first, count, block);
  keep(block.keys, used), keep(block.slot_ids, used);
  block.vectors.resize(parts.vectors ? floats : 0);
  block.states.assign(static_cast<size_t>(parts.num_states), std::vector<float>(floats));
  block.last_steps.resize(parts.last_steps ? n : 0);
  if (!parts.vectors && !parts.last_steps && parts.num_states == 0) return block;
  const int64_t rows_at_once = std::max<int64_t>(1, kChunk / stride_);
  size_t i = 0;
  for (int64_t begin = 0; begin < count; begin += rows_at_once) {
    const int64_t end = std::min(count, begin + rows_at_once);
    const auto chunk = download<float>(ctx_, rows_, (first + begin) * stride_, (end - begin) * stride_);
    for (; i < n && used[i] < end; ++i) {
      const float* row = &chunk[(used[i] - begin) * stride_];
      if (parts.vectors) std::copy_n(row, dim, &block.vectors[i * dim]);
      for (int s = 0; s < parts.num_states; ++s)
        std::copy_n(row + dim * (1 + parts.first_state + s), dim, &block.states[s][i * dim]);
      if (parts.last_steps) block.last_steps[i] = std::bit_cast<uint32_t>(row[stride_ - 1]);
    }
  }
  return block;
}

// Gathers the rows on the host, since device memory is taken for one table only.
class CudaTable::Import final : public RowImport {
 public:
  explicit Import(CudaTable& table)
      : table_(table),
        index_(table.one_hot_ ? make_one_hot_index(table.spec_, table.ctx_.rank, table.ctx_.world_size)
                              : make_hash_index(table.spec_, table.ctx_.rank, table.ctx_.world_size)) {}

  int64_t add(const RowBlock& block) override {
    check_sizes(table_.spec_, block, true);
    const OwnedEntries mine = select_owned(table_.spec_, block, table_.ctx_.rank, table_.ctx_.world_size);
    std::vector<uint32_t> rows(mine.entries.size());
    const int64_t added = index_->add(mine.entries, rows);
    if (added < std::ssize(rows)) return mine.positions[added];
    const int64_t before = std::ssize(vectors_) / table_.spec_.dim;
    for (const int64_t position : mine.positions) mine_.positions.push_back(before + position);
    const auto append = [](auto& to, const auto& from) { to.insert(to.end(), from.begin(), from.end()); };
    append(mine_.entries, mine.entries), append(rows_, rows), append(vectors_, block.vectors);
    return std::ssize(block.keys);
  }
  void commit() override { table_.replace(mine_, rows_, vectors_); }

 private:
  CudaTable& table_;
  std::unique_ptr<RowIndex> index_;
  OwnedEntries mine_;
  std::vector<uint32_t> rows_;  // of the entries
  std::vector<float> vectors_;
};

std::unique_ptr<RowImport> CudaTable::begin_import() {
  require_no_pins();
  return std::make_unique<Import>(*this);
}

// `rows` of hashed keys count up from 0.
void CudaTable::replace(const OwnedEntries& mine, const std::vector<uint32_t>& rows,
                        const std::vector<float>& vectors) {
  const int64_t n = std::ssize(rows);
  const Staging staging = make_staging(n, std::min(n * spec_.dim, kChunk));
  clear();
  if (!one_hot_) {
    insert(staging, mine.entries, rows);
    set_counts({static_cast<uint32_t>(n), 0});
    report.set(n);
  }
  scatter(staging, rows, mine.positions, vectors.data(), spec_.dim, 0);
}

void CudaTable::import_states(const RowBlock& dump) {
  check_sizes(spec_, dump, false);
  const OwnedEntries mine = select_owned(spec_, dump, ctx_.rank, ctx_.world_size);
  const int64_t n = std::ssize(mine.entries);
  std::vector<uint32_t> rows(mine.entries.size());
  find(mine.entries, rows);
  const Staging staging = make_staging(n, std::min(n * spec_.dim, kChunk));
  for (size_t s = 0; s < dump.states.size(); ++s)
    scatter(staging, rows, mine.positions, dump.states[s].data(), spec_.dim,
            spec_.dim * static_cast<int64_t>(1 + s));
  if (dump.last_steps.empty()) return;
  std::vector<float> steps;
  for (const int64_t step : dump.last_steps)
    steps.push_back(std::bit_cast<float>(static_cast<uint32_t>(step)));
  scatter(staging, rows, mine.positions, steps.data(), 1, stride_ - 1);
}

// Elements [first_element, first_element + width) of row rows[i] = values[positions[i]], where there is a
// row.
void CudaTable::scatter(const Staging& staging, const std::vector<uint32_t>& rows,
                        const std::vector<int64_t>& positions, const float* values, int64_t width,
                        int64_t first_element) const {
  const int64_t n = std::ssize(rows), at_once = std::min(staging.rows, staging.floats / width);
  std::vector<float> chunk;
  for (int64_t begin = 0; begin < n; begin += at_once) {
    const int64_t count = std::min(at_once, n - begin);
    chunk.resize(static_cast<size_t>(count * width));
    for (int64_t i = 0; i < count; ++i)
      std::copy_n(values + positions[begin + i] * width, width, &chunk[i * width]);
    copy_to_device(ctx_, tensor<float>(staging.values, count * width), chunk.data());
    copy_to_device(ctx_, tensor<int32_t>(staging.numbers, count), rows.data() + begin);
    write_rows(ctx_, pointer<uint32_t>(staging.numbers), pointer<float>(staging.values), count, width,
               pointer<float>(rows_) + first_element, stride_);
  }
}

}  // namespace ctr::cuda
