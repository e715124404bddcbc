// SPDX-License-Identifier: Apache-2.0
#include "data/parquet_stream.h"

#include <string_view>

#include "base/error.h"

namespace ctr {

void ArrowStream::check(int error) {
  if (error == 0) return;
  const char* text = stream_->get_last_error ? stream_->get_last_error(stream_.get()) : nullptr;
  fail(ErrorKind::io, "cannot read \"{}\": {}", path_, text ? text : "unknown error of the Arrow stream");
}

void ArrowStream::open(int64_t columns) {
  if (!stream_->release || !stream_->get_schema || !stream_->get_next)
    fail(ErrorKind::io, "cannot read \"{}\": the Arrow stream is closed", path_);
  check(stream_->get_schema(stream_.get(), schema_.get()));
  const ArrowSchema& schema = *schema_;
  bool complete = schema.format && std::string_view(schema.format) == "+s" && schema.n_children == columns &&
                  (columns == 0 || schema.children);
  for (int64_t i = 0; complete && i < columns; ++i) complete = schema.children[i] != nullptr;
  if (!complete)
    fail(ErrorKind::io, "cannot read \"{}\": the Arrow stream has {} columns, {} were asked for", path_,
         schema.n_children, columns);
}

bool ArrowStream::next() {
  while (true) {
    batch_.reset();
    check(stream_->get_next(stream_.get(), batch_.get()));
    const ArrowArray& batch = *batch_;
    if (!batch.release) return false;
    const int64_t columns = (*schema_).n_children;
    bool complete = batch.length >= 0 && batch.offset >= 0 && batch.n_children == columns &&
                    (columns == 0 || batch.children);
    for (int64_t i = 0; complete && i < columns; ++i) complete = batch.children[i] != nullptr;
    if (!complete) fail(ErrorKind::io, "\"{}\": broken Arrow data, a batch does not fit its schema", path_);
    if (batch.null_count > 0) fail(ErrorKind::io, "\"{}\": broken Arrow data, a batch with null rows", path_);
    if (batch.length > 0) return true;
  }
}

}  // namespace ctr
