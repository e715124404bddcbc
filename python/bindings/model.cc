// SPDX-License-Identifier: Apache-2.0
#include <nanobind/ndarray.h>
#include <nanobind/stl/map.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "arrow_opener.h"
#include "base/checked.h"
#include "base/interrupt.h"
#include "bind.h"
#include "device/memory.h"
#include "model/bind.h"
#include "model/checkpoint.h"
#include "model/fit.h"
#include "model/formats/graph_json.h"
#include "model/formats/spec_json.h"
#include "model/graph.h"
#include "model/passes.h"
#include "model/plan.h"
#include "model/predict.h"
#include "model/summary.h"
#include "path.h"
#include "remote.h"
#include "shared_engine.h"

namespace {

using ctr::Engine;
using Class = nb::class_<SharedEngine>;

// A Python method that runs body(engine, arguments...) in its turn.
template <class... Args, class Body>
auto in_turn(Body body) {
  return [body](SharedEngine& shared, Args... args) {
    return shared.call([&](Engine& engine) { return body(engine, args...); });
  };
}
// The same for a method of Engine.
template <class Result, class... Args>
auto method(Result (Engine::*member)(Args...)) {
  return in_turn<Args...>(
      [member](Engine& engine, const auto&... args) { return (engine.*member)(args...); });
}

// The loss is read back from the device.
nb::dict to_dict(Engine& engine, const ctr::FitProgress& p, bool with_loss) {
  constexpr const char* events[] = {"started",           "tick",      "iteration", "display",
                                    "evaluation_starts", "evaluated", "snapshot",  "finished"};
  nb::dict d;
  d["event"] = events[static_cast<int>(p.event)];
  d["iteration"] = p.iteration;
  d["total"] = p.total;
  d["epoch"] = p.epoch;
  d["seconds"] = p.seconds;
  d["trained_rows"] = p.trained_rows;
  d["dropped_rows"] = p.dropped_rows;
  if (with_loss) d["loss"] = engine.current_loss();
  d["metrics"] = nb::cast(p.metrics);
  return d;
}

// Lets Ctrl-C through and tells `progress` about ten times a second; tells `callback` of every event, of
// iterations on request, and hands on what it answers.
class FitObserver {
 public:
  FitObserver(Engine& engine, const nb::object& progress, const nb::object& callback, bool each_iteration)
      : engine_(engine), progress_(progress), callback_(callback), each_iteration_(each_iteration) {}

  bool operator()(const ctr::FitProgress& p) {
    using Event = ctr::FitProgress::Event;
    const bool is_frequent = p.event == Event::tick || p.event == Event::iteration;
    const bool called =
        !callback_.is_none() && (!is_frequent || (each_iteration_ && p.event == Event::iteration));
    const bool shown = is_time() || !is_frequent;
    if (shown) ctr::check_interrupt();
    if (!called && (!shown || progress_.is_none())) return false;
    const WithGil gil;
    const nb::dict event = to_dict(engine_, p, shown);
    if (shown && !progress_.is_none()) progress_(event);
    return called && nb::cast<bool>(callback_(event));
  }

 private:
  bool is_time() {
    using namespace std::chrono_literals;
    const auto now = std::chrono::steady_clock::now();
    if (now - last_ < 100ms) return false;
    last_ = now;
    return true;
  }

  Engine& engine_;
  const nb::object& progress_;
  const nb::object& callback_;
  bool each_iteration_;
  std::chrono::steady_clock::time_point last_{};
};

// Joins the reader threads without the interpreter's lock: one of them may be waiting for it to open a file.
// Where threads cannot be joined, because they are another process's or stand still, the engine stays.
void destroy(SharedEngine* engine) {
  if (engine->is_foreign() || is_finalizing()) return;
  // Garbage collection runs on any thread, also on one that is to be joined.
  if (is_opening()) return std::thread([engine] { delete engine; }).detach();
  const WithoutGil released;
  delete engine;
}

std::shared_ptr<SharedEngine> make_engine(const std::string& spec, nb::object open_arrow) {
  ctr::ArrowOpener opener = arrow_opener(std::move(open_arrow));
  const Work work;
  const WithoutGil released;
  auto engine = std::make_unique<ctr::Engine>(ctr::spec_from_json(spec), files(), std::move(opener));
  return {new SharedEngine(std::move(engine)), destroy};
}

void fit(SharedEngine& shared, int64_t num_epochs, int64_t max_iter, int64_t display, int64_t eval_interval,
         int64_t snapshot, const Path& prefix, const nb::object& progress, const nb::object& callback,
         bool each_iteration) {
  shared.call([&](Engine& engine) {
    FitObserver observer(engine, progress, callback, each_iteration);
    ctr::fit(engine, {num_epochs, max_iter, display, eval_interval, snapshot, prefix.bytes},
             std::ref(observer));
  });
}

ctr::Reader& reader(Engine& engine, bool train) {
  return train ? engine.train_reader() : engine.eval_reader();
}

// [samples, columns of all labels]
nb::object to_matrix(std::vector<float>&& values, Engine& engine) {
  size_t columns = 0;
  for (const int64_t width : ctr::prediction_widths(engine)) columns += static_cast<size_t>(width);
  const WithGil gil;
  auto* owned = new std::vector<float>(std::move(values));
  nb::capsule owner(owned, [](void* p) noexcept { delete static_cast<std::vector<float>*>(p); });
  return nb::cast(nb::ndarray<nb::numpy, float>(owned->data(), {owned->size() / columns, columns}, owner));
}

template <class T, int kDimensions>
using Array = nb::ndarray<const T, nb::ndim<kDimensions>, nb::c_contig, nb::device::cpu>;

// Of each sparse input its keys and offsets.
nb::object predict_arrays(SharedEngine& shared, const Array<float, 2>& dense,
                          const std::vector<std::pair<Array<int64_t, 1>, Array<int64_t, 1>>>& sparse) {
  return shared.call([&](Engine& engine) {
    ctr::SampleArrays samples{static_cast<int64_t>(dense.shape(0)), {dense.data(), dense.size()}, {}};
    for (const auto& [keys, offsets] : sparse)
      samples.sparse.push_back({{keys.data(), keys.size()}, {offsets.data(), offsets.size()}});
    return to_matrix(ctr::predict(engine, samples), engine);
  });
}

// Weights of the dense network as (layer, name, array): for tests and inspection.
nb::list dense_weights(Engine& engine) {
  const WithGil gil;
  nb::list result;
  ctr::Rank& rank = engine.ranks()[0];
  for (size_t i = 0; i < rank.graph().nodes.size(); ++i) {
    const ctr::Node& node = rank.graph().nodes[i];
    for (size_t k = 0; k < node.shapes.weights.size(); ++k) {
      const ctr::Tensor& t = rank.weights().values_of(i)[k];
      std::vector<size_t> shape;
      for (int d = 0; d < t.shape().rank(); ++d) shape.push_back(static_cast<size_t>(t.shape()[d]));
      result.append(
          nb::make_tuple(node.spec.tops[0], node.shapes.weights[k].name,
                         nb::ndarray<nb::numpy, const float>(t.data<float>(), shape.size(), shape.data())
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

// Memory that the rows in use take: keys, index, vectors and states.
int64_t embedding_bytes(Engine& engine, int embedding) {
  int64_t n = 0;
  for (int r = 0; r < engine.ranks().size(); ++r) n += engine.ranks()[r].embeddings().bytes(embedding);
  return n;
}

// Dense weights plus the embedding vectors in use.
int64_t parameter_count(Engine& engine) {
  int64_t n = engine.ranks()[0].weights().count();
  for (int r = 0; r < engine.ranks().size(); ++r)
    for (int e = 0; e < engine.ranks()[r].embeddings().count(); ++e)
      n += engine.ranks()[r].embeddings().size(e) * engine.spec().embeddings[static_cast<size_t>(e)].dim;
  return n;
}

ctr::ModelSpec bound(const std::string& spec) { return ctr::bind(ctr::spec_from_json(spec)); }

std::vector<std::string> column_copies(const std::string& spec, bool like_gpu) {
  const ctr::ModelSpec fused = ctr::fuse(bound(spec));
  const ctr::Graph graph = ctr::build_graph(fused, fused.solver.batch_size);
  const ctr::Backend backend = like_gpu ? ctr::Backend::cuda : ctr::Backend::cpu;
  const ctr::Plan plan = ctr::make_plan(graph, ctr::plan_options({backend, 0}, ctr::DType::f32, true));
  std::vector<std::string> lines;
  for (const ctr::ColumnCopy& copy : plan.copies)
    lines.push_back(fmt::format("{}: {}\"{}\": {}", graph.nodes[copy.node].spec.type,
                                copy.is_gradient ? "gradient of " : "",
                                graph.values[static_cast<size_t>(copy.value)].name, copy.reason));
  return lines;
}

// Bytes of a model's memory on one rank beside embeddings.
std::map<std::string, size_t> plan_bytes(const std::string& spec, bool training) {
  const ctr::ModelSpec fused = ctr::fuse(bound(spec));
  const ctr::Graph graph = ctr::build_graph(fused, fused.solver.batch_size);
  const ctr::Plan plan = ctr::make_plan(graph, ctr::plan_options({}, ctr::DType::f32, training));
  size_t weights = 0;
  for (const ctr::Node& node : graph.nodes)
    for (const ctr::WeightDef& w : node.shapes.weights)
      weights += static_cast<size_t>(w.shape.numel()) * sizeof(float);
  const auto copies = static_cast<size_t>(1 + ctr::state_count(fused.optimizer.type));
  return {{"activations", plan.memory.bytes()},
          {"gradients", plan.gradients.bytes()},
          {"weights", weights},
          {"training", training ? weights * copies : 0}};
}

void bind_graph(nb::module_& m) {
  m.def(
      "graph_to_json", [](const std::string& spec) { return ctr::graph_to_json(bound(spec)); },
      nb::arg("spec"), "Text of the graph file of a model spec (JSON document).");
  m.def(
      "graph_from_json",
      [](const std::string& text) { return ctr::spec_to_json(ctr::graph_from_json(text)); }, nb::arg("text"),
      "Parts of a model spec (input, embeddings, layers), as JSON, from the text of a graph file.");
  m.def(
      "graph_summary", [](const std::string& spec) { return ctr::summary(bound(spec)); }, nb::arg("spec"),
      "Table of inputs and layers with shapes.");
  m.def(
      "check_graph",
      [](const std::string& spec) {
        const ctr::ModelSpec parsed = bound(spec);
        ctr::build_graph(parsed, ctr::rank_batch(parsed), false);
      },
      nb::arg("spec"), "Raises when the layers given so far do not fit together.");
}

void bind_loop(Class& c) {
  c.def("start_reading", method(&Engine::start_reading))
      .def("train", method(&Engine::train))
      .def("eval", method(&Engine::evaluate))
      .def("current_loss", method(&Engine::current_loss))
      .def("eval_metrics", method(&Engine::eval_metrics))
      .def("fit", &fit, nb::arg("num_epochs"), nb::arg("max_iter"), nb::arg("display"),
           nb::arg("eval_interval"), nb::arg("snapshot"), nb::arg("snapshot_prefix"),
           nb::arg("progress").none() = nb::none(), nb::arg("callback").none() = nb::none(),
           nb::arg("each_iteration") = false)
      .def("predict_source", in_turn<const Path&>([](Engine& e, const Path& source) {
             return to_matrix(ctr::predict(e, source), e);
           }),
           nb::arg("source"))
      .def("predict_arrays", &predict_arrays, nb::arg("dense"), nb::arg("sparse"))
      .def("prediction_widths", in_turn(ctr::prediction_widths))
      .def("freeze_dense", method(&Engine::freeze_dense), nb::arg("frozen"))
      .def("freeze_embedding", method(&Engine::freeze_embedding), nb::arg("name"), nb::arg("frozen"));
}

void bind_schedule(Class& c) {
  c.def("next_learning_rate", in_turn([](Engine& e) { return e.schedule().next(); }))
      .def("schedule_step", in_turn([](Engine& e) { return e.schedule().step(); }))
      .def("set_learning_rate", method(&Engine::set_learning_rate), nb::arg("lr"))
      .def("learning_rate", in_turn([](Engine& e) { return e.learning_rate(); }))
      .def("reset_schedule",
           in_turn<double, int64_t, int64_t, int64_t, double, double>(
               [](Engine& e, double base_lr, int64_t warmup_steps, int64_t decay_start, int64_t decay_steps,
                  double decay_power, double end_lr) {
                 e.reset_schedule({ctr::checked_float("base_lr", base_lr), warmup_steps, decay_start,
                                   decay_steps, ctr::checked_float("decay_power", decay_power),
                                   ctr::checked_float("end_lr", end_lr)});
               }),
           nb::arg("base_lr"), nb::arg("warmup_steps"), nb::arg("decay_start"), nb::arg("decay_steps"),
           nb::arg("decay_power"), nb::arg("end_lr"));
}

void bind_readers(Class& c) {
  c.def("reader_start", in_turn<bool, const Path&>([](Engine& e, bool train, const Path& source) {
          reader(e, train).start(source);
        }),
        nb::arg("train"), nb::arg("source") = Path{})
      .def("reader_started", in_turn<bool>([](Engine& e, bool train) { return reader(e, train).started(); }),
           nb::arg("train"))
      .def("reader_at_end", in_turn<bool>([](Engine& e, bool train) { return reader(e, train).at_end(); }),
           nb::arg("train"))
      .def("reader_skip", in_turn<bool>([](Engine& e, bool train) {
             const ctr::Batch* batch = reader(e, train).next();
             return batch ? batch->size : 0;
           }),
           nb::arg("train"), "Takes a batch and drops it; its samples, 0 at the end.")
      .def("reader_skipped", in_turn<bool>([](Engine& e, bool train) { return reader(e, train).skipped(); }),
           nb::arg("train"))
      .def("set_source",
           in_turn<const Path&, const Path&>([](Engine& e, const Path& source, const Path& eval_source) {
             e.set_source(source, eval_source);
           }),
           nb::arg("source"), nb::arg("eval_source"));
}

std::map<std::string, std::string> paths(const std::map<std::string, Path>& path_by_embedding) {
  return {path_by_embedding.begin(), path_by_embedding.end()};
}

void bind_files(Class& c) {
  using Paths = const std::map<std::string, Path>&;
  c.def(
       "save",
       in_turn<const Path&, int64_t, bool>([](Engine& e, const Path& prefix, int64_t iteration, bool single) {
         using Form = ctr::SparseForm;
         ctr::save_checkpoint(e, prefix, iteration, single ? Form::single_file : Form::directory);
       }),
       nb::arg("prefix"), nb::arg("iteration"), nb::arg("single_files") = false)
      .def("save_dense", in_turn<const Path&>(ctr::save_dense_weights), nb::arg("path"))
      .def("load_dense", in_turn<const Path&>(ctr::load_dense_weights), nb::arg("path"))
      .def("load_dense_optimizer", in_turn<const Path&>(ctr::load_dense_optimizer), nb::arg("path"))
      .def("load_sparse",
           in_turn<Paths>([](Engine& e, Paths files) { ctr::load_sparse_weights(e, paths(files)); }),
           nb::arg("path_by_embedding"))
      .def("load_sparse_optimizer",
           in_turn<Paths>([](Engine& e, Paths files) { ctr::load_sparse_optimizer(e, paths(files)); }),
           nb::arg("path_by_embedding"))
      .def("export_predictions",
           in_turn<const Path&, const Path&>([](Engine& e, const Path& predictions, const Path& labels) {
             return e.export_predictions(predictions, labels);
           }),
           nb::arg("prediction_file"), nb::arg("label_file"));
}

void bind_inspection(Class& c) {
  c.def("summary", [](const SharedEngine& e) { return ctr::summary(e.constant().spec()); })
      .def("seed", [](const SharedEngine& e) { return e.constant().seed(); })
      .def("time_steps", in_turn<int64_t, int64_t>(time_steps), nb::arg("batches"), nb::arg("steps"))
      .def("embedding_bytes", in_turn<int>(embedding_bytes), nb::arg("embedding"),
           "Memory that the rows in use take: keys, index, vectors and states.")
      .def("dense_weights", in_turn(dense_weights))
      .def("parameter_count", in_turn(parameter_count), "Dense weights plus the embedding vectors in use.");
}

}  // namespace

void bind_model(nb::module_& m) {
  bind_graph(m);
  Class engine(m, "Engine", "A compiled model. Driven by hugectr.Model; threads may call it.");
  engine.def(nb::new_(&make_engine), nb::arg("spec"), nb::arg("open_arrow").none() = nb::none());
  nb::module_ testing = m.def_submodule("testing");
  testing.def(
      "column_copies", &column_copies, nb::arg("spec"), nb::arg("like_gpu") = false,
      "What Concat, Slice and Reshape of a model still copy in a training step, and why: one line each.");
  testing.def(
      "rewrite_spec", [](const std::string& spec) { return ctr::spec_to_json(ctr::spec_from_json(spec)); },
      nb::arg("spec"),
      "A model spec that was read and written: every member, with its default where it was missing.");
  testing.def(
      "plan_bytes", &plan_bytes, nb::arg("spec"), nb::arg("training"),
      "Bytes of a model's activations and buffers, their gradients, its dense weights, and what training "
      "keeps beside those, in f32 on one rank.");
  testing.def("plan_like_gpu", &ctr::plan_like_gpu, nb::arg("on"),
              "Whether models made from now on lie in memory as on a GPU, with all rows padded.");
  m.def("close_engines", &close_engines, nb::arg("engines"),
        "Ends the work of all threads on engines, and these. For the end of the interpreter.");
  bind_loop(engine);
  bind_schedule(engine);
  bind_readers(engine);
  bind_files(engine);
  bind_inspection(engine);
}
