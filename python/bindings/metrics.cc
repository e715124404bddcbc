// SPDX-License-Identifier: Apache-2.0
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/string_view.h>
#include <nanobind/stl/vector.h>

#include <exception>
#include <thread>

#include "bind.h"
#include "device/buffer.h"
#include "device/memory.h"
#include "device/plugin.h"
#include "device/stream.h"
#include "metrics/metric.h"

namespace {

using Matrix = nb::ndarray<const float, nb::ndim<2>, nb::c_contig, nb::device::cpu>;

// One metric on several ranks of the device that models run on, each a thread while values are combined.
class RankedMetric {
 public:
  RankedMetric(std::string_view name, int ranks)
      : device_{ctr::default_backend(), 0}, stream_(device_), comms_(ctr::make_local_comms(ranks)) {
    ctx_.device = device_;
    ctx_.stream = stream_.handle();
    for (int rank = 0; rank < ranks; ++rank) metrics_.push_back(ctr::make_metric(ctx_, name));
  }

  RankedMetric(const RankedMetric&) = delete;

  void update(int rank, const Matrix& predictions, const Matrix& labels, double loss,
              const std::vector<int64_t>& groups) {
    const ctr::Buffer scores = on_device(predictions), truth = on_device(labels);
    metrics_.at(static_cast<size_t>(rank))
        ->update({.rows = static_cast<int64_t>(predictions.shape(0)),
                  .columns = static_cast<int64_t>(predictions.shape(1)),
                  .predictions = {reinterpret_cast<const float*>(scores.data()), predictions.size()},
                  .labels = {reinterpret_cast<const float*>(truth.data()), labels.size()},
                  .loss = loss,
                  .groups = groups});
    ctr::memory_backend(device_).synchronize(ctx_);
  }

  std::vector<double> values() {
    std::vector<double> values(metrics_.size());
    std::vector<std::thread> threads;
    std::vector<std::exception_ptr> errors(metrics_.size());
    for (size_t rank = 0; rank < metrics_.size(); ++rank)
      threads.emplace_back([&, rank] {
        try {
          values[rank] = metrics_[rank]->value(*comms_[rank]);
        } catch (...) {
          errors[rank] = std::current_exception();
        }
      });
    for (auto& thread : threads) thread.join();
    for (const auto& error : errors)
      if (error) std::rethrow_exception(error);
    return values;
  }

  void reset() {
    for (auto& metric : metrics_) metric->reset();
  }

 private:
  ctr::Buffer on_device(const Matrix& values) const {
    ctr::Buffer memory(device_, values.size() * sizeof(float) + 1, "test");
    ctr::memory_backend(device_).copy_to_device(ctx_, memory.data(), values.data(),
                                                values.size() * sizeof(float));
    return memory;
  }

  ctr::Device device_;
  ctr::Stream stream_;
  ctr::Context ctx_;
  std::vector<std::unique_ptr<ctr::Comm>> comms_;
  std::vector<std::unique_ptr<ctr::Metric>> metrics_;
};

}  // namespace

void bind_metrics(nb::module_& m) {
  m.def(
      "metric_names",
      [] {
        std::vector<std::string> names;
        for (const auto& def : ctr::metric_catalog()) names.push_back(def.name);
        return names;
      },
      "Names of all metrics in reporting order.");

  nb::module_ testing = m.def_submodule("testing");
  nb::class_<RankedMetric>(testing, "Metric", "One metric accumulated on several ranks.")
      .def(nb::init<std::string_view, int>(), nb::arg("name"), nb::arg("ranks") = 1)
      .def("update", &RankedMetric::update, nb::arg("rank"), nb::arg("predictions"), nb::arg("labels"),
           nb::arg("loss") = 0.0, nb::arg("groups") = std::vector<int64_t>(),
           "Add one batch of a rank: predictions and labels [rows, columns].")
      .def("values", &RankedMetric::values, nb::call_guard<nb::gil_scoped_release>(),
           "The value each rank computes.")
      .def("reset", &RankedMetric::reset);
}
