// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.h"
#include "base/random.h"
#include "data/batch_source.h"
#include "io/byte_stream.h"

namespace ctr {
namespace {

constexpr int64_t kBlockBytes = int64_t{1} << 20;

int64_t key_bytes(const ReadTask& task) { return task.spec.i64_keys ? 8 : 4; }

int64_t raw_sample_bytes(const ReadTask& task) {
  const SampleLayout& layout = task.layout;
  return 4 * (layout.label_dim + layout.dense_dim) + key_bytes(task) * layout.total_slots();
}

// Chunk numbers of worker w of W: positions w, w + W, ... of an order over all chunks.
struct ChunkOrder {
  std::shared_ptr<const std::vector<int64_t>> order;
  size_t next, step;
  bool repeat;

  std::optional<int64_t> take() {
    if (repeat) next %= order->size();
    if (next >= order->size()) return std::nullopt;
    const int64_t chunk = (*order)[next];
    next += step;
    return chunk;
  }
};

// Fisher-Yates, a function of (seed, pass) alone.
void shuffle(std::vector<int64_t>& order, uint64_t seed, uint32_t pass) {
  for (size_t i = order.size() - 1; i > 0; --i) {
    const Random4 r = random4(seed, RandomPurpose::shuffle, pass & 0xffffffu, i, 0);
    const uint64_t bits = uint64_t{r.v[0]} << 32 | r.v[1];
    std::swap(order[i], order[bits % (i + 1)]);
  }
}

class RawSource final : public BatchSource {
 public:
  RawSource(const ReadTask& task, std::shared_ptr<const RandomAccessFile> file, int64_t samples,
            ChunkOrder chunks)
      : layout_(task.layout),
        float_label_dense_(task.spec.float_label_dense),
        i64_keys_(task.spec.i64_keys),
        file_(std::move(file)),
        samples_(samples),
        chunks_(std::move(chunks)),
        stride_(raw_sample_bytes(task)),
        block_samples_(std::max<int64_t>(1, kBlockBytes / stride_)),
        writer_(task.layout) {}

  bool fill(Batch& batch) override {
    const auto chunk = chunks_.take();
    if (!chunk) return false;
    writer_.begin(batch);
    const int64_t end = std::min(samples_, (*chunk + 1) * layout_.batch_size);
    for (int64_t first = *chunk * layout_.batch_size; first < end; first += block_samples_)
      read_block(first, std::min(block_samples_, end - first));
    writer_.finish();
    return true;
  }

 private:
  void read_block(int64_t first, int64_t count) {
    const auto bytes = static_cast<size_t>(count * stride_);
    buffer_.resize(std::max(buffer_.size(), bytes));
    if (const size_t got = file_->read_at(first * stride_, buffer_.data(), bytes); got < bytes)
      fail(ErrorKind::io, "\"{}\": truncated at offset {} while reading", file_->path(),
           first * stride_ + static_cast<int64_t>(got));
    for (int64_t i = 0; i < count; ++i) {
      parse(buffer_.data() + i * stride_, first + i);
      writer_.commit(1);
    }
  }

  void parse(const std::byte* p, int64_t sample) {
    const int64_t label_dim = layout_.label_dim, dense_dim = layout_.dense_dim;
    const std::byte* dense = p + 4 * label_dim;
    if (float_label_dense_) {
      std::memcpy(writer_.labels(), p, static_cast<size_t>(4 * label_dim));
      if (dense_dim > 0) std::memcpy(writer_.dense(), dense, static_cast<size_t>(4 * dense_dim));
    } else {
      for (int64_t i = 0; i < label_dim; ++i)
        writer_.labels()[i] = static_cast<float>(load<int32_t>(p + 4 * i));
      for (int64_t i = 0; i < dense_dim; ++i) {
        const int64_t v = load<int32_t>(dense + 4 * i);
        if (v <= -1) fail_dense(sample, i, v);
        writer_.dense()[i] = std::log(static_cast<float>(v + 1));
      }
    }
    const std::byte* keys = dense + 4 * dense_dim;
    i64_keys_ ? parse_keys<int64_t>(keys, sample) : parse_keys<uint32_t>(keys, sample);
  }

  template <class Key>
  void parse_keys(const std::byte* p, int64_t sample) {
    for (size_t input = 0; input < layout_.inputs.size(); ++input) {
      const auto& in = layout_.inputs[input];
      int64_t* offsets = writer_.offsets(input);
      const int64_t used = offsets[0];
      int64_t* keys = writer_.keys(input, used + in.slots) + used;
      for (int64_t s = 0; s < in.slots; ++s, p += sizeof(Key)) {
        const SlotRule& rule = layout_.slots[static_cast<size_t>(in.first_slot + s)];
        const int64_t key = load<Key>(p);
        if (key < rule.min_key || key > rule.max_key)
          fail_key(layout_, where(sample), in.first_slot + s, std::to_string(key));
        keys[s] = key + rule.key_offset;
        offsets[s + 1] = used + s + 1;
      }
    }
  }

  std::string where(int64_t sample) const {
    return fmt::format("\"{}\", sample {} at offset {}", file_->path(), sample, sample * stride_);
  }
  [[noreturn]] void fail_dense(int64_t sample, int64_t column, int64_t value) const {
    fail(ErrorKind::invalid_argument,
         "{}: dense value {} is {}; integers are read as ln(v + 1) and must be >= 0{}", where(sample), column,
         value, "; is the file of floats (float_label_dense=True)?");
  }

  const SampleLayout& layout_;
  bool float_label_dense_, i64_keys_;
  std::shared_ptr<const RandomAccessFile> file_;
  int64_t samples_;
  ChunkOrder chunks_;
  int64_t stride_, block_samples_;
  BatchWriter writer_;
  std::vector<std::byte> buffer_;
};

int64_t count_samples(const ReadTask& task, const RandomAccessFile& file) {
  const SampleLayout& layout = task.layout;
  const int64_t stride = raw_sample_bytes(task), announced = task.spec.num_samples;
  const int64_t whole = file.size() / stride;
  if (file.size() % stride == 0 && (announced == 0 || announced == whole) && whole > 0) return whole;
  const std::string formula =
      fmt::format("{} bytes a sample (4 * ({} labels + {} dense) + {} * {} keys)", stride, layout.label_dim,
                  layout.dense_dim, key_bytes(task), layout.total_slots());
  fail(ErrorKind::io, "\"{}\" has {} bytes; expected {}", file.path(), file.size(),
       announced > 0 ? fmt::format("num_samples {} times {}", announced, formula)
                     : fmt::format("a positive multiple of {}", formula));
}

}  // namespace

BatchSources open_raw(ReadTask& task) {
  const auto file = std::make_shared<const RandomAccessFile>(task.spec.source);
  const int64_t samples = count_samples(task, *file);
  std::vector<int64_t> chunks(static_cast<size_t>((samples - 1) / task.layout.batch_size + 1));
  std::iota(chunks.begin(), chunks.end(), int64_t{0});
  if (task.spec.shuffle) shuffle(chunks, task.spec.seed, static_cast<uint32_t>(task.starts));
  const auto order = std::make_shared<const std::vector<int64_t>>(std::move(chunks));
  const size_t workers = worker_count(task, static_cast<int64_t>(order->size()), "batches");
  BatchSources sources;
  for (size_t w = 0; w < workers; ++w)
    sources.push_back(
        std::make_unique<RawSource>(task, file, samples, ChunkOrder{order, w, workers, task.spec.repeat}));
  return sources;
}

}  // namespace ctr
