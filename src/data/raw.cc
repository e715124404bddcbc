// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <iterator>
#include <map>
#include <mutex>
#include <numeric>

#include "base/error.h"
#include "base/log.h"
#include "base/random.h"
#include "data/batch_source.h"
#include "data/raw_types.h"
#include "io/byte_stream.h"

namespace ctr {
namespace {

constexpr int64_t kBlockBytes = int64_t{1} << 20;

int64_t key_bytes(const ReadTask& task) { return task.spec.i64_keys ? 8 : 4; }

int64_t raw_sample_bytes(const ReadTask& task) {
  const SampleLayout& layout = task.layout;
  return 4 * (layout.label_dim + layout.dense_dim) + key_bytes(task) * layout.total_slots();
}

// Fisher-Yates, a function of (seed, pass) alone.
void shuffle(std::vector<int64_t>& order, uint64_t seed, uint32_t pass) {
  for (size_t i = order.size(); i-- > 1;) {
    const Random4 r = random4(seed, RandomPurpose::shuffle, pass & 0xffffffu, i, 0);
    const uint64_t bits = uint64_t{r.v[0]} << 32 | r.v[1];
    std::swap(order[i], order[bits % (i + 1)]);
  }
}

// The order of the whole chunks in each pass over a file, shared by the workers that are in the same pass.
class ChunkOrders {
 public:
  using Order = std::shared_ptr<const std::vector<int64_t>>;

  ChunkOrders(const ReadTask& task, int64_t chunks)
      : seed_(task.spec.seed), first_pass_(task.starts), chunks_(static_cast<size_t>(chunks)) {}

  Order of(int64_t pass) {
    std::lock_guard lock(mutex_);
    if (Order order = orders_[pass].lock()) return order;
    std::vector<int64_t> order(chunks_);
    std::iota(order.begin(), order.end(), int64_t{0});
    shuffle(order, seed_, static_cast<uint32_t>(first_pass_ + pass));
    auto shared = std::make_shared<const std::vector<int64_t>>(std::move(order));
    orders_[pass] = shared;
    std::erase_if(orders_, [](const auto& entry) { return entry.second.expired(); });
    return shared;
  }

 private:
  uint64_t seed_;
  int64_t first_pass_;
  size_t chunks_;
  std::mutex mutex_;
  std::map<int64_t, std::weak_ptr<const std::vector<int64_t>>> orders_;
};

// Samples of a file in reading order, pass after pass without a seam: chunks of a batch's size, shuffled
// where there are orders, then the samples that are left over.
class RawSequence {
 public:
  struct Run {
    int64_t first, count;  // behind each other in the file
  };
  RawSequence(int64_t samples, int64_t chunk, std::shared_ptr<ChunkOrders> orders)
      : samples_(samples), chunk_(chunk), orders_(std::move(orders)) {}

  int64_t samples() const { return samples_; }  // of a pass
  // From `place` in the sequence on.
  Run at(int64_t place) {
    const int64_t row = place % samples_, chunk = row / chunk_, within = row % chunk_;
    if (!orders_) return {row, samples_ - row};
    if (const int64_t pass = place / samples_; pass != pass_) {
      order_ = orders_->of(pass);
      pass_ = pass;
    }
    if (chunk == std::ssize(*order_)) return {row, samples_ - row};
    return {(*order_)[static_cast<size_t>(chunk)] * chunk_ + within, chunk_ - within};
  }

 private:
  int64_t samples_, chunk_;
  std::shared_ptr<ChunkOrders> orders_;  // null: as they are in the file
  ChunkOrders::Order order_;             // of pass_
  int64_t pass_ = -1;
};

// Batches w, w + W, ... of a sequence.
class RawSource final : public BatchSource {
 public:
  RawSource(const ReadTask& task, std::shared_ptr<const RandomAccessFile> file, RawSequence sequence,
            size_t worker, size_t workers)
      : layout_(task.layout),
        float_label_dense_(task.spec.float_label_dense),
        i64_keys_(task.spec.i64_keys),
        repeat_(task.spec.repeat),
        file_(std::move(file)),
        path_(std::make_shared<const std::string>(file_->path())),
        sequence_(std::move(sequence)),
        next_(static_cast<int64_t>(worker) * layout_.batch_size),
        step_(static_cast<int64_t>(workers) * layout_.batch_size),
        stride_(raw_sample_bytes(task)),
        block_samples_(std::max<int64_t>(1, kBlockBytes / stride_)),
        writer_(task.layout) {}

  bool fill(Batch& batch) override {
    writer_.begin(batch);
    for (int64_t place = next_; writer_.room() > 0 && (repeat_ || place < sequence_.samples());) {
      const RawSequence::Run run = sequence_.at(place);
      const int64_t count = std::min({run.count, writer_.room(), block_samples_});
      read_block(run.first, count);
      place += count;
    }
    next_ += step_;
    writer_.finish();
    return writer_.size() > 0;
  }

 private:
  void read_block(int64_t first, int64_t count) {
    const auto bytes = static_cast<size_t>(count * stride_);
    buffer_.resize(std::max(buffer_.size(), bytes));
    if (const size_t got = file_->read_at(first * stride_, buffer_.data(), bytes); got < bytes)
      fail(ErrorKind::io, "\"{}\": truncated at offset {} while reading", file_->path(),
           first * stride_ + static_cast<int64_t>(got));
    writer_.comes_from(path_, "sample", first);
    for (int64_t i = 0; i < count; ++i) {
      parse(buffer_.data() + i * stride_, first + i);
      writer_.commit(1);
    }
    check_block(first, count);
  }

  // The committed `count` samples from `first` of the file on.
  void check_block(int64_t first, int64_t count) {
    const int64_t row = writer_.size() - count;
    if (const auto found = writer_.find_not_finite(row))
      fail_not_finite(fmt::format("{}, {}", where(first + found->row - row), found->name()),
                      static_cast<double>(found->value), integer_hint(found->value));
    if (const auto wrong = float_label_dense_ ? find_integers(writer_, row) : find_floats(writer_, row))
      fail(ErrorKind::invalid_argument, "{}, {}", where(first + wrong->row - row), wrong->what);
    if (float_label_dense_ || warned_) return;
    if (const auto odd = find_likely_floats(writer_, row)) {
      warned_ = true;
      log::warn_once(fmt::format("{}, {}", where(first + odd->row - row), odd->what));
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
  bool float_label_dense_, i64_keys_, repeat_;
  std::shared_ptr<const RandomAccessFile> file_;
  std::shared_ptr<const std::string> path_;  // batches refer to it
  RawSequence sequence_;
  int64_t next_, step_;  // places of this worker's batches
  int64_t stride_, block_samples_;
  BatchWriter writer_;
  bool warned_ = false;  // of what looks like floats
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
  const auto file = std::shared_ptr<const RandomAccessFile>(task.spec.files->open(task.spec.source));
  const int64_t samples = count_samples(task, *file);
  const int64_t batch = task.layout.batch_size;
  const auto orders = task.spec.shuffle ? std::make_shared<ChunkOrders>(task, samples / batch) : nullptr;
  const size_t workers = worker_count(task, (samples - 1) / batch + 1, "batches");
  BatchSources sources;
  for (size_t w = 0; w < workers; ++w)
    sources.push_back(
        std::make_unique<RawSource>(task, file, RawSequence(samples, batch, orders), w, workers));
  return sources;
}

}  // namespace ctr
