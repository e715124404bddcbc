// SPDX-License-Identifier: Apache-2.0
#include "convert/criteo.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <span>

#include "base/error.h"
#include "convert/text_samples.h"
#include "kernels/hash_table.h"

namespace ctr {
namespace {

constexpr size_t kFloats = 14;  // a label and 13 dense values
constexpr size_t kKeys = 26;
constexpr int64_t kMaxWideKeys = 1024;
constexpr int64_t kSamplesPerFile = 40960;
constexpr uint32_t kMaxNormKey = 0xfffffffe, kMaxRawKey = 0x7fffffff;

// Appends a frame of a file with check bytes: a length, the payload, the sum of the payload's bytes.
void append_frame(std::vector<std::byte>& out, const void* payload, size_t bytes) {
  const size_t at = out.size();
  out.resize(at + sizeof(int32_t) + bytes + 1);
  const auto length = static_cast<int32_t>(bytes);
  std::memcpy(&out[at], &length, sizeof length);
  std::memcpy(&out[at + sizeof length], payload, bytes);
  const auto* first = static_cast<const uint8_t*>(payload);
  out.back() = static_cast<std::byte>(std::accumulate(first, first + bytes, 0u) & 0xff);
}

// Where a path's ending begins, its dot included.
size_t ending_of(const std::string& path) {
  const size_t dot = path.rfind('.'), slash = path.rfind('/');
  const bool has_one = dot != std::string::npos && (slash == std::string::npos || dot > slash);
  return has_one ? dot : path.size();
}

// The keys that were added, each once, in the order in which they came first.
class KeySet {
 public:
  void add(std::span<const uint32_t> keys) {
    if (table_.size() + std::ssize(keys) > table_.max_size()) grow(table_.size() + std::ssize(keys));
    wide_.assign(keys.begin(), keys.end());
    rows_.assign(keys.size(), kNoRow);
    table_.insert_missing(wide_, rows_);
  }
  int64_t size() const { return table_.size(); }

  void write(OutputFile& file) const {
    std::vector<uint32_t> block;
    const auto keys = table_.keys();
    for (size_t first = 0; first < keys.size(); first += kBlock) {
      const auto part = keys.subspan(first, std::min(kBlock, keys.size() - first));
      block.assign(part.begin(), part.end());
      file.write(block.data(), block.size() * sizeof(uint32_t));
    }
  }

 private:
  static constexpr size_t kBlock = size_t{1} << 16;

  void grow(int64_t rows) {
    HashTable larger(2 * rows);
    rows_.assign(static_cast<size_t>(table_.size()), kNoRow);
    larger.insert_missing(table_.keys(), rows_);
    table_ = std::move(larger);
  }

  HashTable table_{int64_t{1} << 20};
  std::vector<int64_t> wide_;
  std::vector<uint32_t> rows_;
};

class NormWriter {
 public:
  NormWriter(const FileSystem& files, const NormTarget& target)
      : target_(target),
        wide_keys_(static_cast<size_t>(target.wide_keys)),
        payload_(kFloats + (wide_keys_ > 0) + wide_keys_ + 2 * kKeys,
                 1),  // one key in each of the last slots
        data_(files.begin(target.prefix + "data")),
        lists_(files.begin(target.file_list)) {}

  size_t keys_per_sample() const { return wide_keys_ + kKeys; }

  void add(const Samples& samples) {
    for (size_t i = 0; i < samples.count; ++i) {
      const uint32_t* keys = &samples.keys[i * keys_per_sample()];
      add_frame(&samples.floats[i * kFloats], keys);
      file_keys_.insert(file_keys_.end(), keys, keys + keys_per_sample());
      if (++in_file_ == kSamplesPerFile) end_file();
    }
    done_.samples += static_cast<int64_t>(samples.count);
  }

  Converted finish() {
    if (in_file_ > 0) end_file();
    if (!names_.empty()) end_list();
    data_->commit();
    lists_->commit();  // last: it names what is there by now
    return done_;
  }

 private:
  void add_frame(const float* floats, const uint32_t* keys) {
    std::memcpy(payload_.data(), floats, kFloats * sizeof(float));
    uint32_t* to = &payload_[kFloats];
    if (wide_keys_ > 0) {
      *to++ = static_cast<uint32_t>(wide_keys_);
      to = std::copy_n(keys, wide_keys_, to);
    }
    for (size_t k = 0; k < kKeys; ++k) to[2 * k + 1] = keys[wide_keys_ + k];
    append_frame(frames_, payload_.data(), payload_.size() * sizeof(uint32_t));
  }

  void end_file() {
    const int64_t header[] = {1, in_file_, 1, kFloats - 1, int64_t{kKeys} + (wide_keys_ > 0), 0, 0, 0};
    std::vector<std::byte> first;
    append_frame(first, header, sizeof header);
    names_.push_back(fmt::format("{}{}.data", target_.prefix, done_.files++));
    data_->add_file(names_.back(), [&](OutputFile& file) {
      file.write(first.data(), first.size());
      file.write(frames_.data(), frames_.size());
    });
    keys_->add(file_keys_);
    frames_.clear();
    file_keys_.clear();
    in_file_ = 0;
    if (std::ssize(names_) == target_.files_per_list) end_list();
  }

  void end_list() {
    std::string stem = target_.file_list.substr(0, ending_of(target_.file_list));
    const std::string ending = target_.file_list.substr(stem.size());
    if (target_.files_per_list > 0) stem += fmt::format(".{}", lists_done_++);
    std::string text = fmt::format("{}\n", names_.size());
    for (const std::string& name : names_) text += name + "\n";
    lists_->add_file(stem + ending, [&](OutputFile& file) { file.write(text.data(), text.size()); });
    lists_->add_file(stem + ".keyset", [&](OutputFile& file) { keys_->write(file); });
    done_.keys += keys_->size();
    keys_ = std::make_unique<KeySet>();
    names_.clear();
  }

  const NormTarget& target_;
  size_t wide_keys_;
  std::vector<uint32_t> payload_;  // of a sample
  std::unique_ptr<Transaction> data_, lists_;
  std::unique_ptr<KeySet> keys_ = std::make_unique<KeySet>();
  std::vector<std::byte> frames_;    // of the file to come
  std::vector<uint32_t> file_keys_;  // likewise
  int64_t in_file_ = 0;              // samples of it
  std::vector<std::string> names_;   // of the list to come
  int64_t lists_done_ = 0;
  Converted done_;
};

// One Raw sample behind the other.
void write_raw(const Samples& samples, std::vector<uint32_t>& words, OutputFile& file) {
  words.resize(samples.count * (kFloats + kKeys));
  uint32_t* to = words.data();
  for (size_t i = 0; i < samples.count; ++i, to += kFloats + kKeys) {
    std::memcpy(to, &samples.floats[i * kFloats], kFloats * sizeof(float));
    std::memcpy(to + kFloats, &samples.keys[i * kKeys], kKeys * sizeof(uint32_t));
  }
  file.write(words.data(), words.size() * sizeof(uint32_t));
}

// Calls add() with all samples of a text; their number.
template <class Add>
int64_t for_all(TextSamples& text, const Add& add) {
  int64_t samples = 0;
  for (int64_t more = 1; more > 0; samples += more) {
    more = 0;
    for (const Samples& part : text.next()) {
      add(part);
      more += static_cast<int64_t>(part.count);
    }
  }
  return samples;
}

void require_samples(const std::string& text, int64_t samples) {
  if (samples == 0) fail(ErrorKind::io, "\"{}\" is empty: nothing to convert", text);
}

}  // namespace

Converted criteo_to_raw(const FileSystem& files, const std::string& text, const std::string& raw,
                        const Conversion& conversion) {
  TextSamples samples(files, text, {kFloats, kKeys, kMaxRawKey}, conversion);
  Converted done{.files = 1};
  std::vector<uint32_t> words;
  files.write(raw, [&](OutputFile& file) {
    done.samples = for_all(samples, [&](const Samples& part) { write_raw(part, words, file); });
    require_samples(text, done.samples);
  });
  return done;
}

Converted criteo_to_norm(const FileSystem& files, const std::string& text, const NormTarget& target,
                         const Conversion& conversion) {
  require(target.wide_keys >= 0 && target.wide_keys <= kMaxWideKeys, "wide_keys must be 0 to {}, got {}",
          kMaxWideKeys, target.wide_keys);
  require(target.files_per_list >= 0, "files_per_list must not be negative, got {}", target.files_per_list);
  NormWriter writer(files, target);
  TextSamples samples(files, text, {kFloats, writer.keys_per_sample(), kMaxNormKey}, conversion);
  require_samples(text, for_all(samples, [&](const Samples& part) { writer.add(part); }));
  return writer.finish();
}

}  // namespace ctr
