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
    : ctx_(ctx),
      spec_(spec),
      number_(number),
      layout_(spec.optimizer, spec.dim),
      index_(make_index(spec, ctx)),
      rows_(ctx.device, static_cast<size_t>(index_->capacity() * layout_.stride()) * sizeof(float),
            fmt::format("embedding \"{}\"", spec.name)) {
  initialize(0, index_->size());
}

int64_t Table::bytes() const {
  return index_->bytes() + index_->size() * layout_.stride() * static_cast<int64_t>(sizeof(float));
}

void Table::insert(const Bags& bags, std::span<uint32_t> rows) {
  const int64_t known = index_->size();
  index_->insert(bags, rows);
  initialize(known, index_->size());
}

// Writes rows [begin, end) as if they had just been seen for the first time.
void Table::initialize(int64_t begin, int64_t end) {
  parallel_for(ctx_.threads, end - begin, kGrain, [&](int64_t first, int64_t last) {
    for (int64_t r = begin + first; r < begin + last; ++r) {
      const auto [key, slot] = index_->entry(r);
      const float bound = initial_bound(spec_, slot);
      float* w = row(r);
      for (int64_t i = 0; i < layout_.dim; i += 4) {
        const Random4 bits = fresh_block(ctx_.seed, number_, key, static_cast<uint32_t>(i / 4));
        for (int64_t k = i; k < std::min(i + 4, layout_.dim); ++k) w[k] = to_uniform(bits.v[k - i], bound);
      }
      for (int s = 0; s < layout_.states; ++s)
        std::fill_n(layout_.state(w, s), layout_.dim, initial_state(spec_.optimizer, s));
      if (layout_.has_last_step) layout_.set_last_step(w, 1);
    }
  });
}

TableDump Table::export_rows(bool with_states) const {
  const int64_t n = index_->size(), dim = layout_.dim;
  TableDump dump;
  dump.keys.resize(n);
  dump.slot_ids.resize(is_localized(spec_) ? n : 0);
  dump.vectors.resize(n * dim);
  if (with_states) {
    dump.states.assign(layout_.states, std::vector<float>(n * dim));
    dump.last_steps.resize(layout_.has_last_step ? n : 0);
  }
  parallel_for(ctx_.threads, n, kGrain, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const auto [key, slot] = index_->entry(r);
      dump.keys[r] = key;
      if (is_localized(spec_)) dump.slot_ids[r] = static_cast<uint64_t>(slot);
      std::copy_n(row(r), dim, &dump.vectors[r * dim]);
      for (size_t s = 0; s < dump.states.size(); ++s)
        std::copy_n(layout_.state(row(r), static_cast<int>(s)), dim, &dump.states[s][r * dim]);
      if (!dump.last_steps.empty()) dump.last_steps[r] = layout_.last_step(row(r));
    }
  });
  return dump;
}

void Table::import_rows(const TableDump& dump) {
  check_sizes(spec_, dump, true);
  const OwnedEntries mine = select_owned(spec_, dump, ctx_.rank, ctx_.world_size);
  std::vector<uint32_t> rows(mine.entries.size());
  index_->assign(mine.entries, rows);
  initialize(0, index_->size());
  for (size_t i = 0; i < rows.size(); ++i)
    std::copy_n(&dump.vectors[mine.positions[i] * layout_.dim], layout_.dim, row(rows[i]));
}

void Table::import_states(const TableDump& dump) {
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
