// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "embedding/bags.h"
#include "optim/row_update.h"

namespace ctr {

// The hits of a batch, sorted so that threads can own rows: cut into parts with disjoint rows, each part in
// order of row, then of position in the batch. The parts do not depend on the number of threads.
class RowHits {
 public:
  enum class Cut : uint8_t {
    spread,  // neighbouring rows in different parts: frequent keys come early, so their rows are spread
             // evenly
    ranges   // part p is a range of rows
  };
  // rows[i] is the row of bags.keys[i], below num_rows.
  void build(Context& ctx, const Bags& bags, std::span<const uint32_t> rows, int64_t num_rows, Cut cut);

  int parts() const { return parts_; }
  std::span<const RowHit> part(int p) const;
  Range rows(int p) const;  // Cut::ranges

 private:
  int part_of(uint32_t row) const {
    return static_cast<int>(cut_ == Cut::spread ? row & (parts_ - 1) : row >> (row_bits_ - part_bits_));
  }
  void scatter(Context& ctx, const Bags& bags, std::span<const uint32_t> rows);
  void sort_part(int p);

  Cut cut_ = Cut::spread;
  int parts_ = 1;
  int row_bits_ = 0, part_bits_ = 0;
  int passes_ = 0;  // of the sort of a part
  int64_t num_rows_ = 0;
  std::vector<int64_t> cursors_;  // [team, part] counts, then where each team member writes next
  std::vector<int64_t> begins_;   // [part + 1]
  std::vector<RowHit> hits_, spare_;
};

}  // namespace ctr
