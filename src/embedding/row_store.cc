// SPDX-License-Identifier: Apache-2.0
#include "embedding/row_store.h"

#include "base/error.h"
#include "kernels/hash_table.h"

namespace ctr {

void RowStore::pin(std::span<const uint32_t> rows) {
  for (const uint32_t row : rows)
    if (row != kNoRow) ++pins_[row];
}

void RowStore::unpin(std::span<const uint32_t> rows) {
  for (const uint32_t row : rows) {
    if (row == kNoRow) continue;
    const auto pin = pins_.find(row);
    if (pin == pins_.end()) fail(ErrorKind::internal, "row {} of embedding \"{}\" is not pinned", row, name_);
    if (--pin->second == 0) pins_.erase(pin);
  }
}

void RowStore::require_no_pins() const {
  if (!pins_.empty())
    fail(ErrorKind::internal, "embedding \"{}\" cannot be replaced: {} of its rows are pinned", name_,
         pins_.size());
}

}  // namespace ctr
