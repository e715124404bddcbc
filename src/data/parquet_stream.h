// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "data/arrow_abi.h"

namespace ctr {

// Owns an Arrow structure and releases it.
template <class T>
class ArrowOwner {
 public:
  ArrowOwner() = default;
  ArrowOwner(const ArrowOwner&) = delete;
  ArrowOwner& operator=(const ArrowOwner&) = delete;
  ~ArrowOwner() { reset(); }
  void reset() {
    if (value_.release) value_.release(&value_);
    value_.release = nullptr;
  }
  T* get() { return &value_; }
  T* operator->() { return &value_; }
  const T& operator*() const { return value_; }

 private:
  T value_{};
};

// Pulls record batches whose columns are known by position.
class ArrowStream {
 public:
  explicit ArrowStream(std::string path) : path_(std::move(path)) {}
  ArrowArrayStream* get() { return stream_.get(); }

  // Reads the schema and checks that it has `columns` columns.
  void open(int64_t columns);
  const ArrowSchema& column(int64_t i) const { return *(*schema_).children[i]; }
  // The next batch that has rows; false at the end.
  bool next();
  const ArrowArray& batch() const { return *batch_; }

 private:
  void check(int error);

  std::string path_;
  ArrowOwner<ArrowArrayStream> stream_;
  ArrowOwner<ArrowSchema> schema_;
  ArrowOwner<ArrowArray> batch_;
};

}  // namespace ctr
