// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "model/graph.h"

namespace ctr {

// A storage that is columns [first, first + width) of the rows of another one, because of a move of a node.
struct Nesting {
  int parent = -1;  // storage; -1: memory of its own
  int64_t first = 0, width = 0, parent_row = 0;
  size_t node = 0, move = 0;

  bool is_by(size_t i, size_t k) const { return parent >= 0 && node == i && move == k; }
};

// What is left of a move: a copy in forward, or of gradients in backward, and why.
struct ColumnCopy {
  size_t node;
  int value;  // the narrower side
  bool is_gradient;
  std::string reason;
};

struct LayoutOptions {
  int64_t row_bytes = 1;  // where rows that a matrix product meets begin, if their neighbours allow it
  int64_t long_row = 64;  // elements from which on this is worth memory
};

// Which storages lie in which: what a Concat joins in its output, what a Slice cuts out in its input, as far
// as everybody who writes or reads them takes rows that are apart.
class Layout {
 public:
  Layout(const Graph& graph, DType compute, const LayoutOptions& options);

  const Nesting& operator[](int storage) const { return nestings_[static_cast<size_t>(storage)]; }
  int root(int storage) const;
  // The first column in the root's rows.
  int64_t first_column(int storage) const;
  // In an arena: elements between the beginnings of a root's rows, and what the runs of any storage are.
  int64_t memory(int root) const;
  Tensor::Runs runs(int storage) const;
  bool is_done(size_t node, size_t move) const;
  bool is_done(size_t node) const;  // has moves, and nothing is left of them

  // What the parts of a root see as its rows: 0 without parts.
  int64_t row_of_parts(int root) const;

  // Gradients lie likewise where no two parts meet and, given the nodes' places in the order of backward,
  // sums come out as if they did not.
  Layout for_gradients(const std::vector<size_t>& positions) const;

  std::vector<ColumnCopy> copies;  // what is left of moves

 private:
  struct Use {
    int value;
    size_t node;
    bool is_output;
  };
  struct Padding {
    int64_t row = 0, stride = 0;
  };
  void nest_moves(bool joining);
  std::string nest(int child, const Nesting& nesting);
  std::string nest_gradient(int child, const Layout& values, const std::vector<size_t>& positions);
  std::string obstacle(int storage, int64_t run) const;
  std::string obstacle(const Use& use, int64_t run) const;
  bool keeps_sums(const Nesting& nesting, int child, const std::vector<size_t>& positions) const;
  int64_t own_run(int storage) const;
  int64_t children_row(int storage) const;
  void pad(DType compute, const LayoutOptions& options);

  const Graph* graph_;
  std::vector<Nesting> nestings_;  // by storage, like all the others
  std::vector<Padding> paddings_;
  std::vector<std::vector<int>> children_;
  std::vector<std::vector<int>> members_;  // its values
  std::vector<std::vector<Use>> uses_;     // by nodes that run
};

}  // namespace ctr
