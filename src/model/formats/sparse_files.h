// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "embedding/embedding.h"
#include "io/file_system.h"

namespace ctr {

// Rows travel between tables and files in blocks of so many.
int64_t rows_of_a_block(const EmbeddingSpec& spec);

using VisitRows = std::function<void(const RowBlock&)>;
// Keys and slots of one embedding, in the order of a file.
using KeyOrder = std::function<void(const VisitRows&)>;

// One embedding on all ranks.
struct RankRows {
  int ranks = 1;
  // Visits the rows of one rank in order of their numbers.
  std::function<void(int rank, const RowParts&, const VisitRows&)> read;

  void all(const RowParts& parts, const VisitRows& visit) const;
  KeyOrder keys() const;
};

// A directory of three arrays without headers: key (i64), slot_id (u64, localized types only), emb_vector
// (f32).
void write_sparse_directory(const Transaction::CreateFile& create, const EmbeddingSpec& spec,
                            const RankRows& rows);
// Of releases before 3.1: records of key (32 or 64 bits), slot (u64, localized types only) and vector.
void write_sparse_file(OutputFile& file, const EmbeddingSpec& spec, const RankRows& rows, bool i64_keys);

// Reads either of both.
class SparseFile {
 public:
  // Checks sizes before anything is read, then key range, slots, and that every rank can hold its part; names
  // file and row.
  SparseFile(const FileSystem& files, const std::string& path, const EmbeddingSpec& spec, bool i64_keys,
             int world_size);

  const std::string& path() const { return path_; }
  int64_t rows() const { return rows_; }
  RowBlock read(Range rows, bool with_vectors) const;
  // For the row whose key is there before.
  [[noreturn]] void fail_twice(int64_t row) const;

 private:
  void open_directory(const FileSystem& files);
  void open_single_file(const FileSystem& files);
  void check(int world_size) const;
  void check_rows(const RowBlock& block, int64_t first) const;
  RowBlock read_records(Range rows, bool with_vectors) const;

  std::string path_;
  EmbeddingSpec spec_;
  bool i64_keys_;
  int64_t rows_ = 0;
  std::unique_ptr<RandomAccessFile> records_;  // or:
  std::unique_ptr<RandomAccessFile> keys_, slots_, vectors_;
};

// 0 where the embedding keeps no slots.
int64_t slot_of(const RowBlock& block, size_t row);
// Rows of all ranks: those of a hash embedding have the same capacity, those of a one-hot one share its rows.
int64_t total_capacity(const EmbeddingSpec& spec, int world_size);

}  // namespace ctr
