// SPDX-License-Identifier: Apache-2.0
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/string_view.h>
#include <nanobind/stl/vector.h>

#include <thread>

#include "bind.h"
#include "metrics/metric.h"

namespace {

using Matrix = nb::ndarray<const float, nb::ndim<2>, nb::c_contig, nb::device::cpu>;

// One metric on several ranks, each a thread while values are combined.
class RankedMetric {
 public:
  RankedMetric(std::string_view name, int ranks) : comms_(ctr::make_local_comms(ranks)) {
    for (int rank = 0; rank < ranks; ++rank) metrics_.push_back(ctr::make_metric(name));
  }

  RankedMetric(const RankedMetric&) = delete;

  void update(int rank, const Matrix& predictions, const Matrix& labels, double loss) {
    metrics_.at(static_cast<size_t>(rank))
        ->update({.rows = static_cast<int64_t>(predictions.shape(0)),
                  .columns = static_cast<int64_t>(predictions.shape(1)),
                  .predictions = {predictions.data(), predictions.size()},
                  .labels = {labels.data(), labels.size()},
                  .loss = loss});
  }

  std::vector<double> values() {
    std::vector<double> values(metrics_.size());
    std::vector<std::thread> threads;
    for (size_t rank = 0; rank < metrics_.size(); ++rank)
      threads.emplace_back([&, rank] { values[rank] = metrics_[rank]->value(*comms_[rank]); });
    for (auto& thread : threads) thread.join();
    return values;
  }

  void reset() {
    for (auto& metric : metrics_) metric->reset();
  }

 private:
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
           nb::arg("loss") = 0.0, "Add one batch of a rank: predictions and labels [rows, columns].")
      .def("values", &RankedMetric::values, nb::call_guard<nb::gil_scoped_release>(),
           "The value each rank computes.")
      .def("reset", &RankedMetric::reset);
}
