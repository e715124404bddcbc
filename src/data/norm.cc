// SPDX-License-Identifier: Apache-2.0
#include "data/norm.h"

#include <numeric>

#include "base/error.h"
#include "data/file_list.h"
#include "data/norm_sample.h"
#include "io/byte_stream.h"

namespace ctr {
namespace {

constexpr size_t kHeaderBytes = 64;
constexpr size_t kLengthBytes = 4, kCheckBytes = 1;  // around every frame of a file with check bytes
constexpr const char* kWidthHint = "; does i64_input_key match the file?";

// Sum of the bytes modulo 256.
uint8_t check_byte(const std::byte* data, size_t bytes) {
  const auto* first = reinterpret_cast<const uint8_t*>(data);
  return std::accumulate(first, first + bytes, uint8_t{0},
                         [](uint8_t a, uint8_t b) -> uint8_t { return a + b; });
}

bool check_byte_fits(const std::byte* payload, int64_t bytes) {
  return check_byte(payload, static_cast<size_t>(bytes)) == static_cast<uint8_t>(payload[bytes]);
}

class NormFile final : public SampleFile {
 public:
  NormFile(ReadTask& task, const std::string& path)
      : task_(task),
        layout_(task.layout),
        path_(std::make_shared<const std::string>(path)),
        stream_(task.spec.files->open(path)),
        parse_(task.spec.i64_keys ? &parse_norm_sample<int64_t> : &parse_norm_sample<uint32_t>),
        max_sample_bytes_(norm_sample_bytes(task.layout, task.spec.i64_keys)) {}

  // False when the header frame is damaged.
  bool read_header();
  bool read(BatchWriter& batch) override {
    const int64_t first = batch.size();
    const bool more = read_records(batch);
    if (batch.find_not_finite(first)) fail_not_finite();
    return more;
  }

 private:
  void check_header(const std::byte* header);
  void check_field(const char* name, int64_t found, int64_t expected) const;
  bool read_records(BatchWriter& batch);
  // Read one record; false when the rest of the file is lost.
  bool read_record(BatchWriter& batch);
  bool read_plain(BatchWriter& batch);
  bool read_frame(BatchWriter& batch);
  void commit(BatchWriter& batch) {
    batch.comes_from(path_, "sample", done_);
    batch.commit(1);
  }
  bool whole_frame_fits(int32_t length);
  bool damaged_length(int32_t length, const NormSample& sample);
  [[noreturn]] void fail_truncated() const;
  [[noreturn]] void fail_sample(const NormSample& sample) const;
  [[noreturn]] void fail_not_finite() const;
  std::string where() const { return where(done_, stream_.offset()); }
  std::string where(int64_t sample, int64_t offset) const {
    return fmt::format("\"{}\", sample {} at offset {}", stream_.file().path(), sample, offset);
  }
  bool finish();  // reports what was skipped or left over; always false

  ReadTask& task_;
  const SampleLayout& layout_;
  std::shared_ptr<const std::string> path_;  // batches refer to it
  ByteStream stream_;
  NormSample (*parse_)(const std::byte*, const std::byte*, BatchWriter&);
  size_t max_sample_bytes_;
  int64_t records_ = 0, done_ = 0;
  int64_t bad_check_bytes_ = 0, first_bad_offset_ = 0;
  bool lost_ = false;
};

bool NormFile::read_header() {
  const bool framed = task_.spec.check_sum;
  const size_t needed = kHeaderBytes + (framed ? kLengthBytes + kCheckBytes : 0);
  const auto bytes = stream_.peek(needed);
  if (bytes.size() < needed)
    fail(ErrorKind::io, "\"{}\": truncated, the header needs {} bytes, the file has {}",
         stream_.file().path(), needed, bytes.size());
  const std::byte* header = bytes.data();
  if (framed) {
    const auto length = load<int32_t>(header);
    header += kLengthBytes;
    if (length == 0) check_field("error_check", 0, 1);  // a plain file begins with eight zero bytes
    const bool damaged = length != kHeaderBytes;
    if (damaged || !check_byte_fits(header, kHeaderBytes)) {
      task_.warn(fmt::format("\"{}\" at offset 0: {}; the file is skipped", stream_.file().path(),
                             damaged
                                 ? fmt::format("header frame length {}, expected {}", length, kHeaderBytes)
                                 : "header check byte wrong"));
      return false;
    }
  }
  check_header(header);
  stream_.skip(needed);
  return true;
}

void NormFile::check_field(const char* name, int64_t found, int64_t expected) const {
  if (found == expected) return;
  const bool is_check = std::string_view(name) == "error_check";
  const char* hint = !is_check ? "" : expected ? " (check_type is Sum)" : " (check_type is Non)";
  fail(ErrorKind::invalid_argument, "\"{}\", header: {} {} found, {} expected{}", stream_.file().path(), name,
       found, expected, hint);
}

void NormFile::check_header(const std::byte* header) {
  const auto field = [&](size_t i) { return load<int64_t>(header + 8 * i); };
  check_field("error_check", field(0), task_.spec.check_sum ? 1 : 0);
  check_field("label_dim", field(2), layout_.label_dim);
  check_field("dense_dim", field(3), layout_.dense_dim);
  check_field("slot_num", field(4), layout_.total_slots());
  records_ = field(1);
  require(records_ >= 0, "\"{}\", header: number_of_records must not be negative, found {}",
          stream_.file().path(), records_);
}

bool NormFile::read_records(BatchWriter& batch) {
  while (batch.room() > 0)
    if (done_ == records_ || !read_record(batch)) return finish();
  return true;
}

bool NormFile::read_record(BatchWriter& batch) {
  if (!(task_.spec.check_sum ? read_frame(batch) : read_plain(batch))) return false;
  ++done_;
  return true;
}

bool NormFile::read_plain(BatchWriter& batch) {
  const auto bytes = stream_.peek(max_sample_bytes_);
  const NormSample sample = parse_(bytes.data(), bytes.data() + bytes.size(), batch);
  if (sample.defect == NormSample::truncated) fail_truncated();
  if (sample.defect != NormSample::none) fail_sample(sample);
  commit(batch);
  stream_.skip(static_cast<size_t>(sample.bytes));
  return true;
}

bool NormFile::read_frame(BatchWriter& batch) {
  const auto frame = stream_.peek(kLengthBytes + max_sample_bytes_ + kCheckBytes);
  if (frame.size() < kLengthBytes + kCheckBytes) fail_truncated();
  const auto length = load<int32_t>(frame.data());
  const std::byte* payload = frame.data() + kLengthBytes;
  const std::byte* end = frame.data() + frame.size() - kCheckBytes;
  const NormSample sample = parse_(payload, end, batch);
  const bool plausible = length > 0 && length <= static_cast<int64_t>(max_sample_bytes_);
  const bool intact = plausible && length <= end - payload && check_byte_fits(payload, length);
  // Where the check byte fits the sample as it parses, the length is what is wrong.
  const bool other_length = !intact && sample.defect == NormSample::none && sample.bytes != length &&
                            check_byte_fits(payload, sample.bytes);
  if (!plausible && sample.defect == NormSample::bad_nnz && whole_frame_fits(length)) fail_sample(sample);
  if (!plausible || other_length) return damaged_length(length, sample);
  if (length > end - payload) fail_truncated();
  if (intact) {
    if (sample.defect == NormSample::bad_nnz || sample.defect == NormSample::bad_key) fail_sample(sample);
    if (sample.defect != NormSample::none || sample.bytes != length) return damaged_length(length, sample);
    commit(batch);
  } else {
    if (bad_check_bytes_++ == 0) first_bad_offset_ = stream_.offset();
    ++task_.skipped;
  }
  stream_.skip(kLengthBytes + static_cast<size_t>(length) + kCheckBytes);
  return true;
}

// A sample with more keys than declared makes a longer frame than any here: its check byte tells that it was
// written like that.
bool NormFile::whole_frame_fits(int32_t length) {
  constexpr int32_t kLongest = 1 << 20;
  if (length <= 0 || length > kLongest) return false;
  const size_t bytes = kLengthBytes + static_cast<size_t>(length) + kCheckBytes;
  const auto frame = stream_.peek(bytes);
  return frame.size() >= bytes && check_byte_fits(frame.data() + kLengthBytes, length);
}

bool NormFile::damaged_length(int32_t length, const NormSample& sample) {
  const std::string implied = sample.defect == NormSample::none
                                  ? fmt::format("{} implied by its content", sample.bytes)
                                  : fmt::format("but its content is no sample{}", kWidthHint);
  const int64_t lost = records_ - done_;
  task_.warn(
      fmt::format("{}: frame length {}, {}; this and all later samples of the file are skipped ({} of {})",
                  where(), length, implied, lost, records_));
  task_.skipped += lost;
  lost_ = true;
  return false;
}

void NormFile::fail_truncated() const {
  fail(ErrorKind::io, "{}: truncated, {} records announced, {} found (file of {} bytes){}", where(), records_,
       done_, stream_.file().size(), task_.spec.check_sum ? "" : kWidthHint);
}

void NormFile::fail_sample(const NormSample& sample) const {
  if (sample.defect == NormSample::bad_nnz) fail_nnz(layout_, where(), sample.slot, sample.value, kWidthHint);
  fail_key(layout_, where(), sample.slot, std::to_string(sample.value));
}

// Whole batches are checked, so the sample is not known. It is the first of its kind in the file: reads again
// up to it.
void NormFile::fail_not_finite() const {
  ReadTask task(task_.spec, layout_);
  task.layout.batch_size = 1;
  NormFile again(task, stream_.file().path());
  Batch sample;
  BatchWriter writer(task.layout);
  for (bool more = again.read_header(); more && again.done_ < again.records_;) {
    const int64_t offset = again.stream_.offset();
    writer.begin(sample);
    more = again.read_record(writer);
    if (const auto found = writer.find_not_finite(0))
      ctr::fail_not_finite(fmt::format("{}, {}", where(again.done_ - 1, offset), found->name()),
                           static_cast<double>(found->value));
  }
  fail(ErrorKind::io, "\"{}\" changed while it was read", stream_.file().path());
}

bool NormFile::finish() {
  if (bad_check_bytes_ > 0)
    task_.warn(fmt::format("\"{}\": {} of {} samples skipped, check byte wrong, the first at offset {}",
                           stream_.file().path(), bad_check_bytes_, records_, first_bad_offset_));
  const int64_t left = stream_.file().size() - stream_.offset();
  if (!lost_ && left > 0)
    task_.warn(fmt::format("\"{}\": {} bytes after the {} announced records are ignored",
                           stream_.file().path(), left, records_));
  return false;
}

}  // namespace

std::unique_ptr<SampleFile> open_norm_file(ReadTask& task, const std::string& path) {
  auto file = std::make_unique<NormFile>(task, path);
  if (!file->read_header()) return nullptr;
  return file;
}

BatchSources open_norm(ReadTask& task) {
  return make_file_sources(task, read_file_list(*task.spec.files, task.spec.source),
                           [&task](const std::string& path) { return open_norm_file(task, path); });
}

}  // namespace ctr
