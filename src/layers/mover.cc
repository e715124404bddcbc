// SPDX-License-Identifier: Apache-2.0
#include "layers/mover.h"

#include "device/memory.h"
#include "kernels/columns.h"

namespace ctr {
namespace {

// The moves cut the rows of input i into pieces, in order, without gap or overlap. (Other orders are merely
// slower.)
bool covers_once(const LayerRun& run, int i) {
  int64_t at = 0;
  for (const ColumnMove& m : run.moves) {
    if (m.input != i) continue;
    if (m.source != at) return false;
    at += m.width;
  }
  return at * run.move_rows == run.x[static_cast<size_t>(i)].numel();
}

}  // namespace

void Mover::forward(Context& ctx, const LayerRun& run) const {
  for (const ColumnMove& m : run.moves)
    copy_columns(ctx, run.x[static_cast<size_t>(m.input)], run.y[static_cast<size_t>(m.output)],
                 run.move_rows, {m.source, m.target, m.width}, false);
}

void Mover::backward(Context& ctx, const LayerRun& run) const {
  for (size_t i = 0; i < run.x.size(); ++i) {
    if (!run.wants(i)) continue;
    const bool add = run.accumulates(i) || !covers_once(run, static_cast<int>(i));
    if (add && !run.accumulates(i)) fill_zero(ctx, run.d_x[i]);
    for (const ColumnMove& m : run.moves)
      if (m.input == static_cast<int>(i))
        copy_columns(ctx, run.d_y[static_cast<size_t>(m.output)], run.d_x[i], run.move_rows,
                     {m.target, m.source, m.width}, add);
  }
}

}  // namespace ctr
