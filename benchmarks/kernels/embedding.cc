// SPDX-License-Identifier: Apache-2.0
#include "embedding/embedding.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "bench.h"
#include "kernels/hash_table.h"

namespace ctr::bench {
namespace {

constexpr int64_t kBatch = 2048, kSlots = 26, kKeysPerSlot = 38461;
constexpr double kMillions = 1e-6 * kBatch * kSlots;

// One key in each bag; those of a slot follow a power law of exponent 1.05.
CsrKeys skewed_keys(uint64_t seed) {
  constexpr double kPower = 1 - 1.05;
  const double last = std::pow(static_cast<double>(kKeysPerSlot), kPower) - 1;
  CsrKeys input{kSlots, {0}, {}};
  for (int64_t bag = 0; bag < kBatch * kSlots; ++bag) {
    const uint64_t bits = hash_key(static_cast<int64_t>(seed << 32) + bag, {});
    const double unit = static_cast<double>(bits >> 11) * 0x1p-53;
    const auto rank = static_cast<int64_t>(std::pow(last * unit + 1, 1 / kPower)) - 1;
    input.keys.push_back(bag % kSlots * kKeysPerSlot + rank);
    input.offsets.push_back(bag + 1);
  }
  return input;
}

// Puts other memory into the caches, as the dense network does.
void use_caches(std::vector<char>& other) {
  for (size_t i = 0; i < other.size(); i += 64) ++other[i];
}

// Time of each part of each step.
std::array<Seconds, 3> step_seconds(Context& ctx, EmbeddingGroup& group, const std::vector<CsrKeys>& inputs,
                                    const Tensor& out) {
  using Clock = std::chrono::steady_clock;
  const auto comm = make_solo_comm();
  std::vector<char> other(size_t{64} << 20);
  std::array<Seconds, 3> parts;
  double total = 0;
  for (size_t step = 0; step < 3 * inputs.size() || total < seconds_per_row(); ++step) {
    const CsrKeys* input = &inputs[step % inputs.size()];
    auto timed = [&](Seconds& runs, auto&& part) {
      const auto start = Clock::now();
      part();
      const double taken = std::chrono::duration<double>(Clock::now() - start).count();
      total += taken;
      if (step >= inputs.size()) runs.push_back(taken);  // those before have new keys
    };
    use_caches(other);
    timed(parts[0], [&] { group.stage(ctx, {&input, 1}, kBatch, true); });
    timed(parts[1], [&] { group.forward(ctx, *comm, {&out, 1}); });
    use_caches(other);
    std::fill_n(static_cast<std::byte*>(out.raw()), out.bytes(), std::byte{0x3c});
    timed(parts[2], [&] { group.backward(ctx, *comm, {&out, 1}, {false}); });
  }
  return parts;
}

void rates_of(int64_t dim, DType dtype, const std::vector<CsrKeys>& inputs, int threads) {
  heading(fmt::format("embedding of 26 keys a sample, batch 2048, {} x {}", name_of(dtype), dim));
  const StepState state{.learning_rate = 1e-3f};
  Context ctx;
  ctx.threads = threads;
  ctx.seed = 1;
  ctx.step = &state;
  EmbeddingSpec spec;
  spec.slots = kSlots;
  spec.workspace_mb = 4 * dim + 4;
  spec.dim = dim;
  spec.optimizer.type = OptimizerType::sgd;
  const auto group = make_embedding_group(ctx, {spec}, kBatch);
  const Buffer memory(ctx.device, static_cast<size_t>(kBatch * kSlots * dim) * sizeof(float), "output");
  const auto parts = step_seconds(ctx, *group, inputs, {dtype, {kBatch, kSlots, dim}, memory.data()});
  constexpr std::string_view kParts[] = {"lookup", "gather", "row update"};
  for (size_t i = 0; i < parts.size(); ++i) row(kParts[i], parts[i], kMillions, "Mkey");
}

// The verbs of a store beside training's: half of the rows come and go.
void store_rates(int64_t dim) {
  constexpr int64_t kRows = 1 << 20;
  heading(fmt::format("row store of {} rows, {} floats", kRows, dim));
  Context ctx;
  EmbeddingSpec spec;
  spec.slots = 1;
  spec.workspace_mb = 4 * dim + 4;
  spec.dim = dim;
  spec.optimizer.type = OptimizerType::sgd;
  const auto group = make_embedding_group(ctx, {spec}, 1);
  RowStore& store = group->store(0);
  std::vector<RowEntry> entries;
  for (int64_t i = 0; i < kRows; ++i) entries.push_back({static_cast<int64_t>(hash_key(i, {}) >> 1), 0});
  std::vector<uint32_t> rows(entries.size());
  Seconds insert, find, erase;
  for (double total = 0; erase.size() < 3 || total < seconds_per_row(); total += erase.back()) {
    insert.push_back(seconds_of([&] { store.find_or_insert(entries, rows); }));
    find.push_back(seconds_of([&] { store.find(entries, rows); }));
    erase.push_back(seconds_of([&] { store.erase_if([](const RowInfo& row) { return row.key % 2 == 0; }); }));
  }
  insert.erase(insert.begin());  // of twice as many
  const double half = 0.5e-6 * kRows;
  row("find_or_insert, half of them new", insert, 2 * half, "Mkey");
  row("find", find, 2 * half, "Mkey");
  row("erase_if, every other row", erase, half, "Mrow");
}

}  // namespace

void embedding_rates(int threads) {
  for (const int64_t dim : {16, 128}) store_rates(dim);
  std::vector<CsrKeys> inputs;
  for (uint64_t seed = 1; seed <= 8; ++seed) inputs.push_back(skewed_keys(seed));
  for (const int64_t dim : {1, 11, 16, 128})
    for (const DType dtype : {DType::f32, DType::bf16}) rates_of(dim, dtype, inputs, threads);
}

}  // namespace ctr::bench
