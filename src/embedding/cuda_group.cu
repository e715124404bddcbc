// SPDX-License-Identifier: Apache-2.0
#include <atomic>
#include <bit>
#include <cstring>
#include <limits>
#include <numeric>

#include "base/checked.h"
#include "device/memory.h"
#include "embedding/bags.h"
#include "embedding/cuda_lookup.cuh"
#include "embedding/placement.h"
#include "kernels/elementwise.cuh"
#include "kernels/sort.cuh"
#include "optim/row_update.cuh"

namespace ctr::cuda {
namespace {

int64_t tiles_of(int64_t max_keys) { return divide_up(max_keys, hit_tile(max_keys)); }
// Floats of RowUpdateView::partial for one table, a multiple of a wide access.
int64_t partial_floats(int64_t max_keys, int64_t dim) {
  return divide_up(tiles_of(max_keys) * 2 * dim, 4) * 4;
}

// One embedding's share of a batch.
struct BatchBuffers {
  Buffer counts, keys, offsets, found, factors, firsts, hit_bits;
  BagSelector selector;
  std::vector<uint32_t> offsets32, rows;  // staging
  int64_t full_bags =
      0;  // the offsets on the device are those of so many bags with all the keys a slot may have
  bool is_narrow = true;  // keys have been 32-bit numbers so far
  int64_t max_keys = 0, keys_staged = 0;
};

// Optimizer constants of every table for one step, computed on the device.
struct StepClock {
  OptimizerSpec optimizer;
  int64_t step;
  StepConstants constants;
};

// Copies keys to the device as 32-bit numbers where they all are; returns whether they were.
bool upload_keys(Stream& stream, std::span<const int64_t> keys, void* to, bool try_narrow) {
  if (try_narrow) {
    std::atomic<uint64_t> bits = 0;
    stream.upload(to, keys.size() * sizeof(uint32_t), [&](std::byte* pinned, size_t begin, size_t n) {
      const int64_t* from = keys.data() + begin / sizeof(uint32_t);
      auto* narrow = reinterpret_cast<uint32_t*>(pinned);
      uint64_t seen = 0;
      for (size_t i = 0; i < n / sizeof(uint32_t); ++i) {
        seen |= static_cast<uint64_t>(from[i]);
        narrow[i] = static_cast<uint32_t>(from[i]);
      }
      bits |= seen;
    });
    if (bits >> 32 == 0) return true;
  }
  stream.upload(to, keys.size() * sizeof(int64_t), [&](std::byte* pinned, size_t begin, size_t n) {
    std::memcpy(pinned, reinterpret_cast<const std::byte*>(keys.data()) + begin, n);
  });
  return false;
}

class CudaEmbeddingGroup final : public EmbeddingGroup {
 public:
  CudaEmbeddingGroup(Context& ctx, const std::vector<EmbeddingSpec>& specs, int64_t max_batch);

  void stage(Context& ctx, std::span<const CsrKeys* const> inputs, int64_t batch, bool training) override;
  void forward(Context& ctx, Comm& comm, std::span<const Tensor> outputs) override;
  void backward(Context& ctx, Comm& comm, std::span<const Tensor> d_outputs,
                const std::vector<bool>& frozen) override;

  int count() const override { return static_cast<int>(tables_.size()); }
  const EmbeddingSpec& spec(int e) const override { return table(e).spec(); }
  RowStore& store(int e) const override { return table(e); }
  int64_t generation() const override { return generation_; }

  int64_t optimizer_step(int e) const override;
  void set_optimizer_step(int e, int64_t step) override;

 private:
  CudaTable& table(int e) const { return *tables_.at(static_cast<size_t>(e)); }
  void stage_keys(Context& ctx, size_t e, const CsrKeys& input, int64_t batch);
  void upload_offsets(Context& ctx, size_t e, const Bags& bags);
  void check_room(Context& ctx, size_t e);
  void sort_hits(Context& ctx);
  void make_room(Context& ctx);
  void describe(Context& ctx);
  Tensor clock(int e) const { return {DType::i64, {1}, &pointer<StepClock>(clocks_)[e].step}; }

  mutable Context ctx_;
  int64_t max_batch_, generation_ = 0, num_hits_ = 0;
  bool training_ = false;
  int row_bits_ = 0;
  std::vector<std::unique_ptr<CudaTable>> tables_;
  std::vector<BatchBuffers> batches_;
  std::vector<TableView> views_;
  std::vector<int64_t> wanted_keys_;
  TableGroup group_;
  RowUpdateLaunch update_{};
  Buffer device_views_, update_views_, clocks_;
  Buffer hit_rows_, hit_bags_, sorted_rows_, sorted_bags_, sort_scratch_, partial_;
};

CudaEmbeddingGroup::CudaEmbeddingGroup(Context& ctx, const std::vector<EmbeddingSpec>& specs,
                                       int64_t max_batch)
    : ctx_(ctx),
      max_batch_(max_batch),
      batches_(specs.size()),
      views_(specs.size()),
      wanted_keys_(specs.size()) {
  if (ctx.world_size > 1) fail(ErrorKind::unsupported, "embeddings on several GPUs are not implemented yet");
  std::vector<StepClock> clocks(specs.size());
  int64_t rows = 0;
  for (size_t e = 0; e < specs.size(); ++e) {
    const EmbeddingSpec& spec = specs[e];
    tables_.push_back(std::make_unique<CudaTable>(ctx, spec, static_cast<uint32_t>(e)));
    clocks[e].optimizer = spec.optimizer;
    clocks[e].step = 0;
    const int64_t bags = checked_product(max_batch, spec.slots), capacity = tables_[e]->capacity();
    require(bags < std::numeric_limits<uint32_t>::max(),
            "embedding \"{}\": {} samples of {} slots are too many for a GPU", spec.name, max_batch,
            spec.slots);
    BatchBuffers& b = batches_[e];
    b.counts = Buffer(ctx.device, sizeof(BatchCounts), spec.name);
    b.offsets = Buffer(ctx.device, static_cast<size_t>(bags + 1) * sizeof(uint32_t), spec.name);
    b.firsts = Buffer(ctx.device, kFirstBlocks * sizeof(uint32_t), spec.name);
    if (spec.combiner == Combiner::mean)
      b.factors = Buffer(ctx.device, static_cast<size_t>(bags) * sizeof(float), spec.name);
    if (updates_every_row(spec.optimizer)) {
      b.hit_bits =
          Buffer(ctx.device, static_cast<size_t>(divide_up(capacity, 32)) * sizeof(uint32_t), spec.name);
      update_.max_rows = std::max(update_.max_rows, capacity);
    }
    update_.has_lazy |= tables_[e]->layout().has_last_step;
    views_[e].row_base = static_cast<uint32_t>(rows);
    rows += capacity + 1;
    wanted_keys_[e] = bags;
  }
  if (rows > std::numeric_limits<uint32_t>::max())
    fail(ErrorKind::unsupported, "a GPU serves up to {} rows in all embeddings, got {}",
         std::numeric_limits<uint32_t>::max(), rows);
  row_bits_ = static_cast<int>(std::bit_width(static_cast<uint64_t>(rows)));
  device_views_ = Buffer(ctx.device, sizeof(TableView) * specs.size(), "tables");
  update_views_ = Buffer(ctx.device, sizeof(RowUpdateView) * specs.size(), "tables");
  clocks_ = Buffer(ctx.device, sizeof(StepClock) * specs.size(), "tables");
  if (specs.empty()) return;
  memory_backend(ctx.device)
      .copy_to_device(ctx, clocks_.data(), clocks.data(), sizeof(StepClock) * clocks.size());
  make_room(ctx);
}

// Buffers for the keys in wanted_keys_, for all embeddings.
void CudaEmbeddingGroup::make_room(Context& ctx) {
  memory_backend(ctx.device).synchronize(ctx);
  int64_t hits = 0, partials = 0;
  for (size_t e = 0; e < batches_.size(); ++e) {
    BatchBuffers& b = batches_[e];
    if (wanted_keys_[e] > b.max_keys) {
      const EmbeddingSpec& spec = tables_[e]->spec();
      b.max_keys = wanted_keys_[e];
      const auto n = static_cast<size_t>(b.max_keys);
      if (!tables_[e]->host_index()) b.keys = Buffer(ctx.device, n * sizeof(int64_t), spec.name);
      b.found = Buffer(ctx.device, n * sizeof(uint32_t), spec.name);
    }
    hits += b.max_keys;
    partials += partial_floats(b.max_keys, tables_[e]->spec().dim);
  }
  require(hits < int64_t{kPending}, "{} keys in one batch are too many for a GPU", hits);
  if (hits > num_hits_) {
    num_hits_ = hits;
    const auto bytes = static_cast<size_t>(hits) * sizeof(uint32_t);
    for (Buffer* b : {&hit_rows_, &hit_bags_, &sorted_rows_, &sorted_bags_})
      *b = Buffer(ctx.device, bytes, "key rows");
    sort_scratch_ = Buffer(ctx.device, sort_pairs_bytes(hits), "sorting keys");
    partial_ = Buffer(ctx.device, static_cast<size_t>(partials) * sizeof(float), "row gradients");
  }
  describe(ctx);
  ++generation_;
}

void CudaEmbeddingGroup::describe(Context& ctx) {
  group_ = {pointer<TableView>(device_views_), count(), 0, 0};
  update_.max_hits = update_.max_tiles = 0;
  std::vector<RowUpdateView> updates(tables_.size());
  int64_t hit = 0;
  float* partial = pointer<float>(partial_);
  for (size_t e = 0; e < tables_.size(); ++e) {
    const BatchBuffers& b = batches_[e];
    TableView& v = views_[e];
    tables_[e]->describe(v);
    v.counts = pointer<BatchCounts>(b.counts);
    v.batch_keys = b.keys.data(), v.offsets = pointer<uint32_t>(b.offsets);
    v.found = pointer<uint32_t>(b.found), v.factors = pointer<float>(b.factors);
    v.firsts = pointer<uint32_t>(b.firsts), v.hit_bits = pointer<uint32_t>(b.hit_bits);
    v.first_hit = static_cast<uint32_t>(hit), v.max_keys = static_cast<uint32_t>(b.max_keys);
    const OptimizerSpec& optimizer = tables_[e]->spec().optimizer;
    updates[e] = {.rows = v.rows,
                  .dim = v.dim,
                  .stride = v.stride,
                  .states = v.states,
                  .has_last_step = v.has_last_step,
                  .every_row = updates_every_row(optimizer),
                  .optimizer = optimizer,
                  .constants = &pointer<StepClock>(clocks_)[e].constants,
                  .steps_done = &pointer<StepClock>(clocks_)[e].step,
                  .bag_factors = v.factors,
                  .hit_rows = pointer<uint32_t>(sorted_rows_) + hit,
                  .hit_bags = pointer<uint32_t>(sorted_bags_) + hit,
                  .num_hits = &v.counts->keys,
                  .row_base = v.row_base,
                  .tile = hit_tile(b.max_keys),
                  .num_rows = &v.row_counts->end_row,
                  .hit_bits = v.hit_bits,
                  .partial = partial};
    hit += b.max_keys;
    partial += partial_floats(b.max_keys, v.dim);
    group_.max_keys = std::max(group_.max_keys, b.max_keys);
    group_.max_bags = std::max(group_.max_bags, max_batch_ * tables_[e]->spec().slots);
    update_.max_hits = std::max(update_.max_hits, b.max_keys);
    update_.max_tiles = std::max(update_.max_tiles, tiles_of(b.max_keys));
  }
  const MemoryBackend& memory = memory_backend(ctx.device);
  memory.copy_to_device(ctx, device_views_.data(), views_.data(), sizeof(TableView) * views_.size());
  memory.copy_to_device(ctx, update_views_.data(), updates.data(), sizeof(RowUpdateView) * updates.size());
}

void CudaEmbeddingGroup::stage(Context& ctx, std::span<const CsrKeys* const> inputs, int64_t batch,
                               bool training) {
  require(batch <= max_batch_, "embeddings were made for up to {} samples, got {}", max_batch_, batch);
  training_ = training;
  stream_of(ctx).join(Stream::kSort);  // a forward() without backward() may still sort the last batch
  for (size_t e = 0; e < tables_.size(); ++e) stage_keys(ctx, e, *inputs[e], batch);
  if (training)
    for (size_t e = 0; e < tables_.size(); ++e) check_room(ctx, e);
}

void CudaEmbeddingGroup::stage_keys(Context& ctx, size_t e, const CsrKeys& input, int64_t batch) {
  BatchBuffers& b = batches_[e];
  const Bags bags = b.selector.select(ctx, tables_[e]->spec(), input, batch);
  const int64_t keys = std::ssize(bags.keys);
  if (const RowIndex* index = tables_[e]->host_index()) {
    b.rows.resize(static_cast<size_t>(keys));
    Context few = ctx;  // threads
    few.threads = std::min(ctx.threads, Uploads::kFillThreads);
    index->find(few, bags, b.rows);
  }
  if (keys > b.max_keys) {
    wanted_keys_[e] = keys + keys / 4;  // batches of varying size settle after a few steps
    make_room(ctx);
  }
  upload_offsets(ctx, e, bags);
  const MemoryBackend& memory = memory_backend(ctx.device);
  if (tables_[e]->host_index())
    memory.copy_to_device(ctx, b.found.data(), b.rows.data(), b.rows.size() * sizeof(uint32_t));
  else
    b.is_narrow = upload_keys(stream_of(ctx), bags.keys, b.keys.data(), b.is_narrow);
  const BatchCounts counts{static_cast<uint32_t>(bags.count()), static_cast<uint32_t>(keys), b.is_narrow, 0,
                           tables_[e]->report.next_batch()};
  memory.copy_to_device(ctx, b.counts.data(), &counts, sizeof(counts));
}

// Where every bag has all the keys it may have, the offsets are those of the last such batch.
void CudaEmbeddingGroup::upload_offsets(Context& ctx, size_t e, const Bags& bags) {
  BatchBuffers& b = batches_[e];
  b.keys_staged = std::ssize(bags.keys);
  if (bags.is_full && b.full_bags == bags.count()) return;
  b.full_bags = bags.is_full ? bags.count() : 0;
  b.offsets32.assign(bags.offsets.begin(), bags.offsets.end());
  memory_backend(ctx.device)
      .copy_to_device(ctx, b.offsets.data(), b.offsets32.data(), b.offsets32.size() * sizeof(uint32_t));
}

// Only where all keys that the device has not reported being new could overflow the table does the host wait
// for exact numbers.
void CudaEmbeddingGroup::check_room(Context& ctx, size_t e) {
  if (tables_[e]->host_index()) return;
  CudaTable& table = *tables_[e];
  const int64_t capacity = table.capacity(), keys = batches_[e].keys_staged;
  RowReport& report = table.report;
  if (report.most_rows() + keys > capacity) report.set(table.size());
  const int64_t rows = report.most_rows();
  if (rows + keys <= capacity) return report.add_batch(keys);
  const int64_t fresh = count_fresh(ctx, group_, static_cast<int>(e), views_[e]);
  if (rows + fresh > capacity)
    fail_overflow(table.spec(), ctx.rank, capacity, rows, fresh, MoreKeys::may_come);
  report.add_batch(fresh);
}

// Of the step that begins; the update advances the clock.
__global__ void constants_kernel(StepClock* clocks, const StepState* step, int count) {
  const int e = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (e >= count) return;
  StepClock& clock = clocks[e];
  clock.constants = step_constants(clock.optimizer, step->learning_rate, clock.step + 1, step->loss_scale);
}

void CudaEmbeddingGroup::forward(Context& ctx, Comm&, std::span<const Tensor> outputs) {
  if (tables_.empty()) return;
  if (!training_) {
    find_rows(ctx, group_);
    return combine_rows(ctx, group_, outputs);
  }
  insert_rows(ctx, group_);
  {
    const OnLane aside(stream_of(ctx), Stream::kSort);  // until backward() needs it
    launch(ctx, "embedding.constants", {static_cast<unsigned>(divide_up(count(), 64)), 64}, constants_kernel,
           pointer<StepClock>(clocks_), ctx.step, count());
    sort_hits(ctx);
  }
  combine_rows(ctx, group_, outputs);
}

void CudaEmbeddingGroup::sort_hits(Context& ctx) {
  for (const BatchBuffers& b : batches_)
    if (b.hit_bits.data())
      memory_backend(ctx.device).fill_zero(ctx, b.hit_bits.data(), b.hit_bits.bytes(), 1, 0);
  list_hits(ctx, group_, pointer<uint32_t>(hit_rows_), pointer<uint32_t>(hit_bags_));
  sort_pairs(ctx, pointer<uint32_t>(hit_rows_), pointer<uint32_t>(hit_bags_), pointer<uint32_t>(sorted_rows_),
             pointer<uint32_t>(sorted_bags_), num_hits_, row_bits_, sort_scratch_.data(),
             sort_scratch_.bytes());
}

void CudaEmbeddingGroup::backward(Context& ctx, Comm&, std::span<const Tensor> d_outputs,
                                  const std::vector<bool>& frozen) {
  if (tables_.empty()) return;
  std::vector<Tensor> d_bags(d_outputs.begin(), d_outputs.end());
  for (size_t e = 0; e < frozen.size(); ++e)
    if (frozen[e]) d_bags[e] = {};
  stream_of(ctx).join(Stream::kSort);
  update_rows(ctx, pointer<RowUpdateView>(update_views_), d_bags, update_);
}

int64_t CudaEmbeddingGroup::optimizer_step(int e) const {
  int64_t step = 0;
  copy_to_host(ctx_, &step, clock(e));
  return step;
}

void CudaEmbeddingGroup::set_optimizer_step(int e, int64_t step) { copy_to_device(ctx_, clock(e), &step); }

std::unique_ptr<EmbeddingGroup> make_cuda_group(Context& ctx, const std::vector<EmbeddingSpec>& specs,
                                                int64_t max_batch) {
  return std::make_unique<CudaEmbeddingGroup>(ctx, specs, max_batch);
}

}  // namespace
}  // namespace ctr::cuda

namespace ctr {

void register_embedding_cuda() { register_embedding_group(Backend::cuda, cuda::make_cuda_group); }

}  // namespace ctr
