// SPDX-License-Identifier: Apache-2.0
// The embedding alone on a GPU: 10 tables of 1,677,721 rows x 128 floats, 104,857 keys each (one a bag, power
// law 1.05): forward, and forward with the row update of SGD and Adam. Prints JSON, times in milliseconds.
#include <cuda_runtime_api.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <random>
#include <set>

#include "device/buffer.h"
#include "device/cuda.cuh"
#include "device/memory.h"
#include "device/plugin.h"
#include "device/stream.h"
#include "embedding/embedding.h"

namespace ctr {
namespace {

constexpr int kTables = 10, kSets = 4, kSteps = 200;
constexpr int64_t kRows = 1677721, kKeys = 104857, kDim = 128;

CsrKeys draw(uint64_t seed) {
  constexpr double kPower = 1 - 1.05;
  std::mt19937_64 random(seed);
  std::uniform_real_distribution<double> uniform;
  CsrKeys input{1, {0}, {}};
  const double span = std::pow(static_cast<double>(kRows), kPower) - 1;
  for (int64_t i = 0; i < kKeys; ++i) {
    const auto rank = static_cast<int64_t>(std::pow(span * uniform(random) + 1, 1 / kPower)) - 1;
    // Neighbouring ranks lie far apart in the table.
    input.keys.push_back(std::clamp<int64_t>(rank, 0, kRows - 1) * 1000003 % kRows);
    input.offsets.push_back(i + 1);
  }
  return input;
}

struct Times {
  double median, p10, p90;
};

class Bench {
 public:
  explicit Bench(const OptimizerSpec& optimizer)
      : device_{Backend::cuda, 0}, stream_(device_), step_(device_, sizeof(StepState), "step") {
    ctx_.device = device_;
    ctx_.stream = stream_.handle();
    ctx_.threads = 8;
    ctx_.step = reinterpret_cast<const StepState*>(step_.data());
    const StepState step{.learning_rate = 0.01f};
    memory_backend(device_).copy_to_device(ctx_, step_.data(), &step, sizeof(step));
    std::vector<EmbeddingSpec> specs(kTables);
    for (auto& spec : specs) {
      spec.type = EmbeddingType::localized_hash;
      spec.name = "table";
      spec.slots = 1;
      spec.dim = kDim;
      spec.slot_size_array = {kRows + kSets * kKeys};  // room enough that no step has to ask how full it is
      spec.optimizer = optimizer;
    }
    group_ = make_embedding_group(ctx_, specs, kKeys);
    for (int e = 0; e < kTables; ++e) {
      memory_.emplace_back(device_, 2 * kKeys * kDim * sizeof(float), "vectors");
      auto* data = reinterpret_cast<float*>(memory_.back().data());
      y_.emplace_back(DType::f32, Shape{kKeys, 1, kDim}, data);
      d_y_.emplace_back(DType::f32, Shape{kKeys, 1, kDim}, data + kKeys * kDim);
    }
    for (int s = 0; s < kSets; ++s)
      for (int e = 0; e < kTables; ++e) inputs_.push_back(draw(static_cast<uint64_t>(s * kTables + e)));
  }

  void fill() {  // every row, so that the steps find what they look for in a full table
    for (int64_t begin = 0; begin < kRows; begin += kKeys) {
      CsrKeys all{1, {0}, {}};
      for (int64_t i = 0; i < kKeys; ++i) {
        all.keys.push_back(std::min(kRows - 1, begin + i));
        all.offsets.push_back(i + 1);
      }
      const std::vector<const CsrKeys*> pointers(kTables, &all);
      group_->stage(ctx_, pointers, kKeys, true);
      group_->forward(ctx_, *comm_, y_);
    }
  }

  Times run(bool training) {
    std::vector<float> times;
    cudaEvent_t start, end;
    cudaEventCreate(&start), cudaEventCreate(&end);
    StepGraph graph;
    for (int i = -20; i < kSteps; ++i) {
      std::vector<const CsrKeys*> pointers;
      for (int e = 0; e < kTables; ++e)
        pointers.push_back(&inputs_[static_cast<size_t>((i + 20) % kSets * kTables + e)]);
      group_->stage(ctx_, pointers, kKeys, training);
      const cudaStream_t stream = cuda::stream_of(ctx_).get();  // with the keys on the device
      cudaEventRecord(start, stream);
      graph.run(ctx_, [&] {
        group_->forward(ctx_, *comm_, y_);
        if (training) group_->backward(ctx_, *comm_, d_y_, std::vector<bool>(kTables));
      });
      cudaEventRecord(end, stream);
      cudaEventSynchronize(end);
      float ms = 0;
      cudaEventElapsedTime(&ms, start, end);
      if (i >= 0) times.push_back(ms);
    }
    cudaEventDestroy(start), cudaEventDestroy(end);
    std::sort(times.begin(), times.end());
    return {times[kSteps / 2], times[kSteps / 10], times[kSteps * 9 / 10]};
  }

  // Bytes that must move, read and written: rows once, vectors once.
  double bytes(int row_passes, int row_floats, int vector_passes) const {
    double total = 0;
    for (int e = 0; e < kTables; ++e) {
      const std::set<int64_t> rows(inputs_[static_cast<size_t>(e)].keys.begin(),
                                   inputs_[static_cast<size_t>(e)].keys.end());
      total += 4.0 * (static_cast<double>(rows.size()) * row_floats * row_passes +
                      static_cast<double>(kKeys * kDim) * vector_passes);
    }
    return total;
  }

 private:
  Device device_;
  Stream stream_;
  Buffer step_;
  Context ctx_;
  std::unique_ptr<Comm> comm_ = make_solo_comm();
  std::unique_ptr<EmbeddingGroup> group_;
  std::vector<Buffer> memory_;
  std::vector<Tensor> y_, d_y_;
  std::vector<CsrKeys> inputs_;
};

void print(const char* name, const Times& t, double bytes) {
  std::printf(
      "{\"name\": \"%s\", \"median_ms\": %.4f, \"p10_ms\": %.4f, \"p90_ms\": %.4f, \"bytes\": %.0f}\n", name,
      t.median, t.p10, t.p90, bytes);
}

int run() {
  if (default_backend() != Backend::cuda) {
    std::fprintf(stderr, "no GPU\n");
    return 1;
  }
  {
    Bench bench({.type = OptimizerType::sgd, .update = UpdateType::local});
    bench.fill();
    print("embedding forward", bench.run(false), bench.bytes(1, kDim, 1));
    print("embedding forward + SGD", bench.run(true), bench.bytes(1, kDim, 1) + bench.bytes(2, kDim, 1));
  }
  Bench bench({.type = OptimizerType::adam, .update = UpdateType::local});
  bench.fill();
  print("embedding forward + Adam", bench.run(true), bench.bytes(1, kDim, 1) + bench.bytes(2, 3 * kDim, 1));
  return 0;
}

}  // namespace
}  // namespace ctr

int main() { return ctr::run(); }
