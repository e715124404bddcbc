// SPDX-License-Identifier: Apache-2.0
#include <nanobind/ndarray.h>
#include <nanobind/stl/map.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <chrono>

#include "arrow_opener.h"
#include "bind.h"
#include "device/memory.h"
#include "model/checkpoint.h"
#include "model/engine.h"
#include "model/fit.h"
#include "model/formats/graph_json.h"
#include "model/formats/spec_json.h"
#include "model/graph.h"
#include "model/summary.h"

namespace {

using ctr::Engine;
using ReleaseGil = nb::call_guard<nb::gil_scoped_release>;

nb::dict to_dict(Engine& engine, const ctr::FitProgress& p) {
  constexpr const char* events[] = {"step", "evaluation", "finished"};
  nb::dict d;
  d["event"] = events[static_cast<int>(p.event)];
  d["iteration"] = p.iteration;
  d["total"] = p.total;
  d["epoch"] = p.epoch;
  d["seconds"] = p.seconds;
  d["loss"] = engine.current_loss();
  d["metrics"] = nb::cast(p.metrics);
  return d;
}

// Lets Ctrl-C through after every step and tells `progress` about ten times a second.
class FitObserver {
 public:
  FitObserver(Engine& engine, nb::object progress) : engine_(engine), progress_(std::move(progress)) {}

  void operator()(const ctr::FitProgress& p) {
    using namespace std::chrono_literals;
    const auto now = std::chrono::steady_clock::now();
    const bool is_step = p.event == ctr::FitProgress::Event::step;
    if (is_step && now - last_ < 100ms) return;
    last_ = now;
    nb::gil_scoped_acquire gil;
    if (PyErr_CheckSignals() != 0) throw nb::python_error();
    if (!progress_.is_none()) progress_(to_dict(engine_, p));
  }

 private:
  Engine& engine_;
  nb::object progress_;
  std::chrono::steady_clock::time_point last_{};
};

// Joins the reader threads without the interpreter's lock: one of them may be waiting for it to open a file.
void destroy(Engine* engine) {
  nb::gil_scoped_release release;
  delete engine;
}

void fit(Engine& engine, const ctr::FitOptions& options, nb::object progress) {
  FitObserver observer(engine, std::move(progress));
  nb::gil_scoped_release release;
  ctr::fit(engine, options, std::ref(observer));
}

ctr::Reader& reader(Engine& engine, bool train) {
  return train ? engine.train_reader() : engine.eval_reader();
}

// Weights of the dense network as (layer, name, array): for tests and inspection.
nb::list dense_weights(Engine& engine) {
  nb::list result;
  ctr::Rank& rank = engine.ranks()[0];
  for (size_t i = 0; i < rank.graph().nodes.size(); ++i) {
    const ctr::Node& node = rank.graph().nodes[i];
    for (size_t k = 0; k < node.shapes.weights.size(); ++k) {
      const ctr::Tensor& t = rank.parameters().weights_of(i)[k];
      std::vector<size_t> shape;
      for (int d = 0; d < t.shape().rank(); ++d) shape.push_back(static_cast<size_t>(t.shape()[d]));
      result.append(nb::make_tuple(
          node.spec.tops[0], node.shapes.weights[k].name,
          nb::ndarray<nb::numpy, const float>(t.data<float>(), shape.size(), shape.data(), nb::find(engine))
              .cast(nb::rv_policy::copy)));
    }
  }
  return result;
}

// Seconds for `steps` training steps on up to `count` batches held in memory, in rotation: what the engine
// does without its readers. An untimed step before them gives the readers time to fill their rings.
double time_steps(Engine& engine, int64_t count, int64_t steps) {
  std::vector<ctr::Batch> batches;
  while (std::ssize(batches) < std::min(count, steps + 1)) {
    const ctr::Batch* batch = engine.train_reader().next();
    ctr::require(batch != nullptr, "time_steps: the data has fewer than {} batches", count);
    batches.push_back(*batch);
  }
  std::chrono::steady_clock::time_point start;
  for (int64_t i = 0; i <= steps; ++i) {
    if (i == 1) start = std::chrono::steady_clock::now();
    engine.train_on(batches[static_cast<size_t>(i) % batches.size()]);
  }
  static_cast<void>(engine.current_loss());  // waits for the device
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

void bind_model(nb::module_& m) {
  m.def(
      "graph_to_json", [](const std::string& spec) { return ctr::graph_to_json(ctr::spec_from_json(spec)); },
      nb::arg("spec"), "Text of the graph file of a model spec (JSON document).");
  m.def("graph_from_json", &ctr::graph_from_json, nb::arg("text"),
        "Parts of a model spec (input, embeddings, layers), as JSON, from the text of a graph file.");
  m.def(
      "graph_summary", [](const std::string& spec) { return ctr::summary(ctr::spec_from_json(spec)); },
      nb::arg("spec"), "Table of inputs and layers with shapes.");
  m.def(
      "check_graph",
      [](const std::string& spec) {
        const ctr::ModelSpec parsed = ctr::spec_from_json(spec);
        ctr::build_graph(parsed, std::max<int64_t>(1, parsed.solver.batch_size / std::max(1, parsed.ranks())),
                         false);
      },
      nb::arg("spec"), "Raises when the layers given so far do not fit together.");

  nb::class_<Engine>(m, "Engine", "A compiled model. Driven by hugectr.Model.")
      .def(nb::new_([](const std::string& spec, nb::object open_arrow) {
             ctr::ArrowOpener opener = arrow_opener(std::move(open_arrow));
             nb::gil_scoped_release release;
             return std::shared_ptr<Engine>(new Engine(ctr::spec_from_json(spec), std::move(opener)),
                                            destroy);
           }),
           nb::arg("spec"), nb::arg("open_arrow").none() = nb::none())
      .def("summary", [](Engine& e) { return ctr::summary(e.spec()); })
      .def("seed", &Engine::seed)
      .def("start_reading", &Engine::start_reading, ReleaseGil())
      .def("train", &Engine::train, ReleaseGil())
      .def("eval", &Engine::evaluate, ReleaseGil())
      .def("current_loss", &Engine::current_loss)
      .def("eval_metrics", &Engine::eval_metrics, ReleaseGil())
      .def("first_non_finite", &Engine::first_non_finite)
      .def(
          "fit",
          [](Engine& e, int64_t num_epochs, int64_t max_iter, int64_t display, int64_t eval_interval,
             int64_t snapshot, const std::string& prefix, nb::object progress) {
            fit(e, {num_epochs, max_iter, display, eval_interval, snapshot, prefix}, std::move(progress));
          },
          nb::arg("num_epochs"), nb::arg("max_iter"), nb::arg("display"), nb::arg("eval_interval"),
          nb::arg("snapshot"), nb::arg("snapshot_prefix"), nb::arg("progress").none() = nb::none())
      .def("next_learning_rate", [](Engine& e) { return e.schedule().next(); })
      .def("schedule_step", [](Engine& e) { return e.schedule().step(); })
      .def("set_learning_rate", &Engine::set_learning_rate, nb::arg("lr"))
      .def("learning_rate", &Engine::learning_rate)
      .def(
          "reset_schedule",
          [](Engine& e, float base_lr, int64_t warmup_steps, int64_t decay_start, int64_t decay_steps,
             float decay_power, float end_lr) {
            e.reset_schedule({base_lr, warmup_steps, decay_start, decay_steps, decay_power, end_lr});
          },
          nb::arg("base_lr"), nb::arg("warmup_steps"), nb::arg("decay_start"), nb::arg("decay_steps"),
          nb::arg("decay_power"), nb::arg("end_lr"))
      .def(
          "reader_start",
          [](Engine& e, bool train, const std::string& source) { reader(e, train).start(source); },
          nb::arg("train"), nb::arg("source") = "", ReleaseGil())
      .def(
          "reader_started", [](Engine& e, bool train) { return reader(e, train).started(); },
          nb::arg("train"))
      .def(
          "reader_at_end", [](Engine& e, bool train) { return reader(e, train).at_end(); }, nb::arg("train"),
          ReleaseGil())
      .def(
          "reader_skipped", [](Engine& e, bool train) { return reader(e, train).skipped(); },
          nb::arg("train"))
      .def("set_source", &Engine::set_source, nb::arg("source"), nb::arg("eval_source"))
      .def(
          "save",
          [](Engine& e, const std::string& prefix, int64_t iteration) {
            ctr::save_checkpoint(e, prefix, iteration);
          },
          nb::arg("prefix"), nb::arg("iteration"), ReleaseGil())
      .def(
          "load_dense", [](Engine& e, const std::string& path) { ctr::load_dense_weights(e, path); },
          nb::arg("path"), ReleaseGil())
      .def(
          "load_dense_optimizer",
          [](Engine& e, const std::string& path) { ctr::load_dense_optimizer(e, path); }, nb::arg("path"),
          ReleaseGil())
      .def(
          "load_sparse",
          [](Engine& e, const std::map<std::string, std::string>& p) { ctr::load_sparse_weights(e, p); },
          nb::arg("path_by_embedding"), ReleaseGil())
      .def(
          "load_sparse_optimizer",
          [](Engine& e, const std::map<std::string, std::string>& p) { ctr::load_sparse_optimizer(e, p); },
          nb::arg("path_by_embedding"), ReleaseGil())
      .def("freeze_dense", &Engine::freeze_dense, nb::arg("frozen"))
      .def("freeze_embedding", &Engine::freeze_embedding, nb::arg("name"), nb::arg("frozen"))
      .def("export_predictions", &Engine::export_predictions, nb::arg("prediction_file"),
           nb::arg("label_file"), ReleaseGil())
      .def("time_steps", &time_steps, nb::arg("batches"), nb::arg("steps"), ReleaseGil())
      .def(
          "embedding_bytes",
          [](Engine& e, int embedding) {
            int64_t n = 0;
            for (int r = 0; r < e.ranks().size(); ++r) n += e.ranks()[r].embeddings().bytes(embedding);
            return n;
          },
          nb::arg("embedding"), "Memory that the rows in use take: keys, index, vectors and states.")
      .def("dense_weights", &dense_weights)
      .def(
          "parameter_count",
          [](Engine& e) {
            int64_t n = e.ranks()[0].parameters().count();
            for (int r = 0; r < e.ranks().size(); ++r)
              for (int k = 0; k < e.ranks()[r].embeddings().count(); ++k)
                n += e.ranks()[r].embeddings().size(k) * e.spec().embeddings[static_cast<size_t>(k)].dim;
            return n;
          },
          "Dense weights plus the embedding vectors in use.");
}
