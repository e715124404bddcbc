// SPDX-License-Identifier: Apache-2.0
#include "embedding/table.h"

#include <algorithm>

#include "base/parallel.h"
#include "embedding/dump.h"
#include "embedding/row_math.h"

namespace ctr {
namespace {

constexpr int64_t kGrain = 256;  // rows worth one thread

std::unique_ptr<RowIndex> make_index(const EmbeddingSpec& spec, const Context& ctx) {
  return spec.type == EmbeddingType::localized_one_hot ? make_one_hot_index(spec, ctx.rank, ctx.world_size)
                                                       : make_hash_index(spec, ctx.rank, ctx.world_size);
}

}  // namespace

Table::Table(const Context& ctx, const EmbeddingSpec& spec, uint32_t number)
    : RowStore(spec.name),
      ctx_(ctx),
      spec_(spec),
      number_(number),
      layout_(spec.optimizer, spec.dim),
      fresh_(spec),
      index_(make_index(spec, ctx)),
      rows_(ctx.device, static_cast<size_t>(index_->capacity() * layout_.stride()) * sizeof(float),
            fmt::format("embedding \"{}\"", spec.name)),
      epochs_(ctx.device, spec.columns.epoch ? static_cast<size_t>(index_->capacity()) * sizeof(uint32_t) : 0,
              "epochs of rows"),
      scores_(ctx.device, spec.columns.score ? static_cast<size_t>(index_->capacity()) * sizeof(float) : 0,
              "scores of rows") {
  initialize_new(0);
}

int64_t Table::bytes() const {
  const int64_t columns = layout_.stride() + spec_.columns.epoch + spec_.columns.score;
  return index_->bytes() + index_->end_row() * columns * static_cast<int64_t>(sizeof(float));
}

void Table::insert(const Bags& bags, std::span<uint32_t> rows) {
  const int64_t known = index_->end_row();
  index_->insert(bags, rows, reused_);
  initialize_new(known);
}

void Table::find_or_insert(std::span<const RowEntry> entries, std::span<uint32_t> rows) {
  const int64_t known = index_->end_row();
  index_->insert_entries(entries, rows, reused_);
  initialize_new(known);
}

// The rows from `known` on, and those in reused_.
void Table::initialize_new(int64_t known) {
  const int64_t reused = std::ssize(reused_);
  parallel_for(ctx_.threads, reused + index_->end_row() - known, kGrain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) initialize(i < reused ? reused_[i] : known + i - reused);
  });
}

// As if it had just been seen for the first time.
void Table::initialize(int64_t r) {
  const auto [key, slot] = index_->entry(r);
  const Initializer& fresh = fresh_.of(slot);
  float* w = row(r);
  for (int64_t i = 0; i < layout_.dim; i += 4) {
    const Random4 bits = fresh_block(ctx_.seed, number_, key, static_cast<uint32_t>(i / 4));
    for (int64_t k = i; k < std::min(i + 4, layout_.dim); ++k)
      w[k] = fresh_element(fresh, bits, key, k, layout_.dim);
  }
  for (int s = 0; s < layout_.states; ++s)
    std::fill_n(layout_.state(w, s), layout_.dim, initial_state(spec_.optimizer, s));
  if (layout_.has_last_step) layout_.set_last_step(w, 1);
  if (spec_.columns.epoch) epochs()[r] = 0;
  if (spec_.columns.score) scores()[r] = 0;
}

RowInfo Table::info(uint32_t row) const {
  const auto [key, slot] = index_->entry(row);
  return {row, key, slot, spec_.columns.epoch ? epochs()[row] : 0,
          spec_.columns.score ? scores()[row] : 0.0f};
}

// The predicate has seen every row before the first one goes.
int64_t Table::erase_if(const std::function<bool(const RowInfo&)>& predicate) {
  std::vector<uint32_t> rows;
  for (int64_t r = 0; r < index_->end_row(); ++r) {
    const auto row = static_cast<uint32_t>(r);
    if (index_->has_row(r) && !is_pinned(row) && predicate(info(row))) rows.push_back(row);
  }
  index_->erase(rows);
  if (spec_.type == EmbeddingType::localized_one_hot)
    for (const uint32_t row : rows) initialize(row);
  return std::ssize(rows);
}

void Table::touch(std::span<const uint32_t> rows, uint32_t epoch, float score) {
  for (const uint32_t row : rows) {
    if (row == kNoRow) continue;
    if (spec_.columns.epoch) epochs()[row] = epoch;
    if (spec_.columns.score) scores()[row] += score;
  }
}

RowBlock Table::export_rows(Range numbers, const RowParts& parts) const {
  std::vector<uint32_t> rows;
  for (int64_t r = numbers.begin; r < std::min(numbers.end, index_->end_row()); ++r)
    if (index_->has_row(r)) rows.push_back(static_cast<uint32_t>(r));
  const int64_t n = std::ssize(rows), dim = layout_.dim;
  RowBlock block;
  block.keys.resize(rows.size());
  block.slot_ids.resize(is_localized(spec_) ? rows.size() : 0);
  block.vectors.resize(parts.vectors ? static_cast<size_t>(n * dim) : 0);
  block.states.assign(static_cast<size_t>(parts.num_states),
                      std::vector<float>(static_cast<size_t>(n * dim)));
  block.last_steps.resize(parts.last_steps ? rows.size() : 0);
  parallel_for(ctx_.threads, n, kGrain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      float* from = row(rows[i]);
      const auto [key, slot] = index_->entry(rows[i]);
      block.keys[i] = key;
      if (is_localized(spec_)) block.slot_ids[i] = static_cast<uint64_t>(slot);
      if (parts.vectors) std::copy_n(from, dim, &block.vectors[i * dim]);
      for (int s = 0; s < parts.num_states; ++s)
        std::copy_n(layout_.state(from, parts.first_state + s), dim, &block.states[s][i * dim]);
      if (parts.last_steps) block.last_steps[i] = layout_.last_step(from);
    }
  });
  return block;
}

// Returns as RowImport::add() does.
int64_t Table::add(const RowBlock& block) {
  check_sizes(spec_, block, true);
  const OwnedEntries mine = select_owned(spec_, block, ctx_.rank, ctx_.world_size);
  std::vector<uint32_t> rows(mine.entries.size());
  const int64_t known = index_->end_row(), added = index_->add(mine.entries, rows);
  if (added < std::ssize(rows)) return mine.positions[added];
  initialize_new(known);
  for (size_t i = 0; i < rows.size(); ++i)
    std::copy_n(&block.vectors[mine.positions[i] * layout_.dim], layout_.dim, row(rows[i]));
  return std::ssize(block.keys);
}

// Fills a table of its own, which then takes the place of the other one.
class Table::Import final : public RowImport {
 public:
  explicit Import(Table& target) : target_(target), table_(target.ctx_, target.spec_, target.number_) {}
  int64_t add(const RowBlock& rows) override { return table_.add(rows); }
  void commit() override { target_ = std::move(table_); }

 private:
  Table& target_;
  Table table_;
};

std::unique_ptr<RowImport> Table::begin_import() {
  require_no_pins();
  return std::make_unique<Import>(*this);
}

void Table::import_states(const RowBlock& dump) {
  check_sizes(spec_, dump, false);
  const OwnedEntries mine = select_owned(spec_, dump, ctx_.rank, ctx_.world_size);
  std::vector<uint32_t> rows(mine.entries.size());
  index_->find_entries(mine.entries, rows);
  for (size_t i = 0; i < rows.size(); ++i) {
    if (rows[i] == kNoRow) continue;
    for (size_t s = 0; s < dump.states.size(); ++s)
      std::copy_n(&dump.states[s][mine.positions[i] * layout_.dim], layout_.dim,
                  layout_.state(row(rows[i]), static_cast<int>(s)));
    if (!dump.last_steps.empty()) layout_.set_last_step(row(rows[i]), dump.last_steps[mine.positions[i]]);
  }
}

}  // namespace ctr
