// SPDX-License-Identifier: Apache-2.0
#include "model/profile.h"

#include <algorithm>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "base/json.h"
#include "base/parallel.h"
#include "device/arena.h"
#include "device/memory.h"
#include "io/local_file.h"
#include "kernels/gemm.h"

namespace ctr {
namespace {

constexpr size_t kMaxEvents = 20000;

template <class Work>
double best_seconds(const Context& ctx, int repeats, const Work& work) {
  double best = 1e30;
  for (int i = 0; i < repeats; ++i) {
    const auto start = std::chrono::steady_clock::now();
    work();
    memory_backend(ctx.device).synchronize(ctx);
    best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  return best;
}

double measure_flops(Context& ctx, DType type) {
  constexpr int64_t kSize = 1024;
  Arena arena("roofline");
  const int a = arena.add(type, {2 * kSize, kSize}), b = arena.add(type, {kSize, kSize}),
            c = arena.add(type, {2 * kSize, kSize});
  arena.allocate(ctx.device);
  const double seconds = best_seconds(ctx, 5, [&] { gemm(ctx, arena[a], arena[b], arena[c], {}); });
  return 4.0 * kSize * kSize * kSize / seconds;
}

// Bytes read and written by a copy far larger than any cache.
double measure_bandwidth(Context& ctx) {
  constexpr int64_t kBytes = int64_t{128} << 20;
  if (ctx.device.backend != Backend::cpu) return 0;
  Buffer from(ctx.device, kBytes, "roofline"), to(ctx.device, kBytes, "roofline");
  const double seconds = best_seconds(ctx, 5, [&] {
    parallel_for(ctx.threads, kBytes, 1 << 20, [&](int64_t begin, int64_t end) {
      std::copy(from.data() + begin, from.data() + end, to.data() + begin);
    });
  });
  return 2.0 * kBytes / seconds;
}

}  // namespace

std::unique_ptr<Profile> Profile::from_environment() {
  const char* value = std::getenv("HUGECTR_PROFILE");
  if (!value || !*value || std::string_view(value) == "0") return nullptr;
  auto profile = std::make_unique<Profile>();
  if (std::string_view(value) != "1") profile->trace_path_ = value;
  return profile;
}

size_t Profile::add_row(std::string name, std::string type, double flops, double bytes) {
  rows_.push_back({std::move(name), std::move(type), flops, bytes});
  return rows_.size() - 1;
}

void Profile::record(const Context& ctx, size_t row, Phase phase, Clock::time_point start) {
  memory_backend(ctx.device).synchronize(ctx);
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  rows_[row].seconds[static_cast<int>(phase)] += seconds;
  if (!trace_path_.empty() && events_.size() < kMaxEvents)
    events_.push_back({row, phase, std::chrono::duration<double>(start - origin_).count(), seconds});
}

std::string Profile::report(Context& ctx, DType compute) const {
  const double peak_flops = measure_flops(ctx, compute), peak_bytes = measure_bandwidth(ctx);
  const double steps = static_cast<double>(std::max<int64_t>(steps_, 1));
  double total = 0;
  for (const Row& row : rows_) total += row.seconds[0] + row.seconds[1];
  std::string text =
      fmt::format("{} steps, {:.3f} ms each; this machine: {:.0f} GFLOP/s in {}, {:.1f} GB/s\n", steps_,
                  total / steps * 1e3, peak_flops * 1e-9, name_of(compute), peak_bytes * 1e-9);
  text += fmt::format("{:<28} {:<24} {:>10} {:>10} {:>7} {:>9} {:>8} {:>9}\n", "Name", "Type", "forward ms",
                      "backward ms", "share", "GFLOP/s", "GB/s", "roofline");
  for (const Row& row : rows_) {
    const double seconds = row.seconds[0] + row.seconds[1];
    const double passes = (row.seconds[0] > 0 ? 1 : 0) + (row.seconds[1] > 0 ? 2 : 0);
    const double flops = seconds > 0 ? passes * row.flops * steps / seconds : 0;
    const double bytes = seconds > 0 ? passes * row.bytes * steps / seconds : 0;
    const double roofline = std::max(flops / peak_flops, peak_bytes > 0 ? bytes / peak_bytes : 0);
    text += fmt::format("{:<28} {:<24} {:>10.3f} {:>11.3f} {:>6.1f}% {:>9.1f} {:>8.1f} {:>8.0f}%\n", row.name,
                        row.type, row.seconds[0] / steps * 1e3, row.seconds[1] / steps * 1e3,
                        100 * seconds / total, flops * 1e-9, bytes * 1e-9, 100 * roofline);
  }
  return text;
}

void Profile::write_trace() const {
  if (trace_path_.empty()) return;
  Json events = Json::array();
  for (const Event& e : events_)
    events.push_back({{"name", rows_[e.row].name},
                      {"cat", rows_[e.row].type},
                      {"ph", "X"},
                      {"ts", e.start * 1e6},
                      {"dur", e.seconds * 1e6},
                      {"pid", 0},
                      {"tid", static_cast<int>(e.phase)}});
  write_atomically(trace_path_, [&](OutputFile& file) {
    const std::string text = Json{{"traceEvents", std::move(events)}}.dump();
    file.write(text.data(), text.size());
  });
}

}  // namespace ctr
