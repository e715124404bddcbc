// SPDX-License-Identifier: Apache-2.0
#include "layers/layer.h"

#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/variant.h>
#include <nanobind/stl/vector.h>

#include <cstring>
#include <deque>
#include <nlohmann/json.hpp>

#include "bind.h"
#include "device/buffer.h"
#include "device/memory.h"
#include "device/plugin.h"
#include "device/stream.h"
#include "kernels/columns.h"
#include "kernels/convert.h"
#include "kernels/gemm.h"

namespace {

using Array = nb::ndarray<const float, nb::c_contig, nb::device::cpu>;
using Arrays = std::vector<Array>;

ctr::Json to_json(const nb::object& value) {
  return ctr::Json::parse(nb::cast<std::string>(nb::module_::import_("json").attr("dumps")(value)));
}

std::string rule_name(ctr::JsonRule rule) {
  constexpr const char* names[] = {"always", "optional", "if_changed", "presence", "never"};
  return names[static_cast<int>(rule)];
}

nb::dict describe(const ctr::ParamDef& p) {
  nb::dict d;
  d["keyword"] = p.keyword;
  d["json_path"] = p.json_path;
  d["default"] = p.initial;
  d["doc"] = p.doc;
  d["rule"] = rule_name(p.rule);
  return d;
}

nb::list catalog() {
  nb::list layers;
  for (const ctr::LayerDef& def : ctr::layer_catalog()) {
    nb::list params;
    for (const ctr::ParamDef& p : def.params) params.append(describe(p));
    nb::dict d;
    d["name"] = def.name;
    d["aliases"] = def.aliases;
    d["doc"] = def.doc;
    d["min_inputs"] = def.min_inputs;
    d["max_inputs"] = def.max_inputs;
    d["is_loss"] = def.is_loss;
    d["params"] = params;
    layers.append(d);
  }
  return layers;
}

// "tf32": f32, with products that round their factors.
ctr::DType parse_dtype(const std::string& name) {
  if (name == "tf32") return ctr::DType::f32;
  for (const auto t : {ctr::DType::f32, ctr::DType::f16, ctr::DType::bf16})
    if (ctr::name_of(t) == name) return t;
  ctr::fail_unknown("dtype", name, {"f32", "tf32", "f16", "bf16"});
}

constexpr uint8_t kGapByte = 0xff;  // makes a NaN of any float type

// Owns the memory of one layer's tensors on the device that models run on, and runs it as the executor would.
class LayerRunner {
 public:
  // `gap`: elements between the rows of what the layer takes with rows apart.
  LayerRunner(const std::string& type, const nb::dict& params, const std::string& dtype, uint64_t seed,
              int threads, int64_t gap)
      : device_{ctr::default_backend(), 0},
        stream_(device_),
        ctx_{.device = device_, .threads = threads, .stream = stream_.handle(), .seed = seed},
        dtype_(parse_dtype(dtype)),
        gap_(gap),
        def_(ctr::find_layer(type)),
        layer_(def_.create(ctr::params_from_keywords(def_.params, to_json(params), type))) {
    ctx_.tf32 = dtype == "tf32";
  }

  void set_inputs(const Arrays& inputs) {
    std::vector<ctr::Shape> shapes;
    for (const Array& a : inputs) shapes.push_back(shape_of(a));
    const std::vector<ctr::ValueType> types(shapes.size(), ctr::ValueType::compute);
    shapes_ = layer_->infer({shapes, types, device_.backend});
    for (size_t i = 0; i < inputs.size(); ++i) {
      const bool is_label = def_.is_loss && i == 1;
      x_.push_back(make(is_label ? ctr::DType::f32 : dtype_, shapes[i], rows_of_inputs()));
      put(x_[i], values(inputs[i], x_[i]));
    }
    for (const auto& y : shapes_.outputs)
      y_.push_back(
          make(y.type == ctr::ValueType::f32 ? ctr::DType::f32 : dtype_, y.shape, rows_of_outputs()));
    for (const auto& c : shapes_.constants) {
      constants_.push_back(make(c.dtype, c.shape));
      ctr::copy_to_device(ctx_, constants_.back(), c.bytes.data());
    }
    for (const auto& b : shapes_.saved) saved_.push_back(make(b.in_compute_type ? dtype_ : b.dtype, b.shape));
    for (const auto& b : shapes_.scratch)
      scratch_.push_back(make(b.in_compute_type ? dtype_ : b.dtype, b.shape));
  }

  void set_weights(const std::optional<Arrays>& weights, const std::optional<Arrays>& states) {
    for (size_t i = 0; i < shapes_.weights.size(); ++i) {
      const auto& def = shapes_.weights[i];
      std::vector<float> initial(static_cast<size_t>(def.shape.numel()));
      ctr::initialize(def.initializer, ctx_.seed, static_cast<uint32_t>(i),
                      {ctr::DType::f32, def.shape, initial.data()});
      w_.push_back(make(def.in_compute_type ? dtype_ : ctr::DType::f32, def.shape));
      put(w_.back(), weights ? values(weights->at(i), w_.back()) : initial);
      d_w_.push_back(make(ctr::DType::f32, def.shape));
    }
    for (size_t i = 0; i < shapes_.states.size(); ++i) {
      const auto& def = shapes_.states[i];
      state_.push_back(make(ctr::DType::f32, def.shape));
      const std::vector<float> initial(static_cast<size_t>(def.shape.numel()), def.initial);
      put(state_.back(), states ? values(states->at(i), state_.back()) : initial);
    }
  }

  // Gradients start as 1, which shows what overwrites and what accumulates.
  void set_gradients(const std::optional<Arrays>& d_outputs, const std::vector<std::string>& modes) {
    for (size_t i = 0; i < y_.size(); ++i) {
      d_y_.emplace_back();
      if (!d_outputs || i >= d_outputs->size()) continue;
      d_y_[i] = make(dtype_, y_[i].shape(), rows_of_outputs());
      put(d_y_[i], values((*d_outputs)[i], d_y_[i]));
    }
    for (size_t i = 0; i < x_.size(); ++i) {
      const std::string mode = i < modes.size() ? modes[i] : def_.is_loss && i == 1 ? "skip" : "overwrite";
      modes_.push_back(mode == "skip"        ? ctr::GradMode::skip
                       : mode == "overwrite" ? ctr::GradMode::overwrite
                                             : ctr::GradMode::accumulate);
      const bool skip = modes_.back() == ctr::GradMode::skip;
      d_x_.push_back(skip ? ctr::Tensor() : make(dtype_, x_[i].shape(), rows_of_inputs()));
      if (!skip) put(d_x_.back(), std::vector<float>(static_cast<size_t>(d_x_.back().numel()), 1.0f));
    }
  }

  void run(const ctr::StepState& step, const std::string& name, int64_t samples, bool training,
           bool backward) {
    const ctr::Buffer device_step(device_, sizeof(step), "step");
    ctr::memory_backend(device_).copy_to_device(ctx_, device_step.data(), &step, sizeof(step));
    ctx_.step = reinterpret_cast<const ctr::StepState*>(device_step.data());
    ctr::LayerRun run;
    run.x = x_, run.y = y_, run.w = w_, run.state = state_, run.saved = saved_, run.scratch = scratch_;
    run.constants = constants_;
    run.moves = shapes_.moves, run.move_rows = shapes_.move_rows;
    run.name = name;
    run.samples = samples;
    run.training = training;
    if (shapes_.is_view)
      for (const auto& y : y_) put(y, get(x_[0]));
    else
      layer_->forward(ctx_, run);
    run.d_x = d_x_, run.d_y = d_y_, run.d_w = d_w_, run.d_x_mode = modes_;
    if (backward && shapes_.is_view)
      add_view_gradients();
    else if (backward)
      ctr::run_backward(*layer_, ctx_, run);
    ctr::memory_backend(device_).synchronize(ctx_);
  }

  nb::dict results(bool backward) {
    nb::dict d;
    d["outputs"] = arrays(y_);
    d["weights"] = arrays(w_);
    d["states"] = arrays(state_);
    d["d_inputs"] = backward ? arrays(d_x_) : nb::list();
    d["d_weights"] = backward ? arrays(d_w_) : nb::list();
    d["is_view"] = shapes_.is_view;
    d["takes_gaps"] =
        nb::make_tuple(rows_of_inputs() != ctr::Strided::no, rows_of_outputs() != ctr::Strided::no);
    d["gaps_untouched"] = gaps_are_untouched();
    return d;
  }

  bool is_loss() const { return def_.is_loss; }
  int64_t batch() const { return x_.back().shape()[0]; }

 private:
  ctr::Strided rows_of_inputs() const {
    return shapes_.moves.empty() ? shapes_.strided_inputs : ctr::Strided::rows;
  }
  ctr::Strided rows_of_outputs() const {
    return shapes_.moves.empty() ? shapes_.strided_outputs : ctr::Strided::samples;
  }
  ctr::Tensor make(ctr::DType dtype, const ctr::Shape& shape, ctr::Strided rows = ctr::Strided::no) {
    const int64_t run = rows == ctr::Strided::samples ? shape.numel() / shape[0] : shape.last();
    if (gap_ == 0 || rows == ctr::Strided::no || run == shape.numel()) {
      memory_.emplace_back(device_, static_cast<size_t>(shape.numel()) * ctr::size_of(dtype) + 1, "test");
      return {dtype, shape, memory_.back().data()};
    }
    const auto elements = static_cast<size_t>(shape.numel() / run * (run + gap_));
    memory_.emplace_back(device_, elements * ctr::size_of(dtype), "test");
    const std::vector<uint8_t> nans(memory_.back().bytes(), kGapByte);
    ctr::memory_backend(device_).copy_to_device(ctx_, memory_.back().data(), nans.data(), nans.size());
    gapped_.emplace_back(dtype, shape, memory_.back().data(), ctr::Tensor::Runs{run, run + gap_});
    return gapped_.back();
  }
  bool gaps_are_untouched() const {
    for (const ctr::Tensor& t : gapped_) {
      const size_t size = ctr::size_of(t.dtype()), row = static_cast<size_t>(t.runs().stride) * size;
      std::vector<uint8_t> bytes(static_cast<size_t>(t.numel() / t.runs().length) * row);
      ctr::memory_backend(device_).copy_to_host(ctx_, bytes.data(), t.raw(), bytes.size());
      for (size_t i = 0; i < bytes.size(); ++i)
        if (i % row >= static_cast<size_t>(t.runs().length) * size && bytes[i] != kGapByte) return false;
    }
    return true;
  }
  static ctr::Shape shape_of(const Array& a) {
    ctr::Shape shape;
    if (a.ndim() == 1) shape = {1};
    if (a.ndim() == 2) shape = {1, 1};
    if (a.ndim() == 3) shape = {1, 1, 1};
    if (a.ndim() == 4) shape = {1, 1, 1, 1};
    for (size_t i = 0; i < a.ndim(); ++i) shape.set(static_cast<int>(i), static_cast<int64_t>(a.shape(i)));
    return shape;
  }
  static std::vector<float> values(const Array& a, const ctr::Tensor& t) {
    ctr::require(static_cast<int64_t>(a.size()) == t.numel(), "tensor {} was given {} elements",
                 ctr::to_string(t.shape()), a.size());
    return {a.data(), a.data() + a.size()};
  }
  void put(const ctr::Tensor& t, std::vector<float> values) {
    if (!t.is_packed()) {
      const ctr::Tensor packed = make(t.dtype(), t.shape());
      put(packed, std::move(values));
      return ctr::copy_columns(ctx_, packed, t, t.shape().rows(), {0, 0, t.shape().last()}, false);
    }
    if (t.dtype() == ctr::DType::f32) return ctr::copy_to_device(ctx_, t, values.data());
    const ctr::Tensor wide = make(ctr::DType::f32, t.shape());
    put(wide, std::move(values));
    ctr::convert(ctx_, wide, t);
  }
  std::vector<float> get(const ctr::Tensor& t) {
    if (t.is_packed()) return ctr::to_host(ctx_, t);
    const ctr::Tensor packed = make(t.dtype(), t.shape());
    ctr::copy_columns(ctx_, t, packed, t.shape().rows(), {0, 0, t.shape().last()}, false);
    return ctr::to_host(ctx_, packed);
  }
  void add_view_gradients() {
    if (modes_[0] == ctr::GradMode::skip) return;
    std::vector<float> sum = get(d_x_[0]);
    if (modes_[0] == ctr::GradMode::overwrite) std::fill(sum.begin(), sum.end(), 0.0f);
    for (const auto& d_y : d_y_) {
      const std::vector<float> g = get(d_y);
      for (size_t i = 0; i < sum.size(); ++i) sum[i] += g[i];
    }
    put(d_x_[0], sum);
  }
  nb::list arrays(const std::vector<ctr::Tensor>& tensors) {
    nb::list list;
    for (const ctr::Tensor& t : tensors) {
      if (!t) {
        list.append(nb::none());
        continue;
      }
      const std::vector<float> host = get(t);
      std::vector<size_t> shape;
      for (int i = 0; i < t.shape().rank(); ++i) shape.push_back(static_cast<size_t>(t.shape()[i]));
      list.append(nb::cast(nb::ndarray<nb::numpy, const float>(host.data(), shape.size(), shape.data()),
                           nb::rv_policy::copy));
    }
    return list;
  }

  ctr::Device device_;
  ctr::Stream stream_;
  ctr::Context ctx_;
  ctr::DType dtype_;
  int64_t gap_;
  const ctr::LayerDef& def_;
  std::unique_ptr<ctr::Layer> layer_;
  ctr::LayerShapes shapes_;
  std::deque<ctr::Buffer> memory_;
  std::vector<ctr::Tensor> gapped_;
  std::vector<ctr::Tensor> x_, y_, w_, state_, saved_, scratch_, constants_, d_x_, d_y_, d_w_;
  std::vector<ctr::GradMode> modes_;
};

nb::dict run_layer(const std::string& type, const nb::dict& params, const Arrays& inputs,
                   const std::optional<Arrays>& weights, const std::optional<Arrays>& d_outputs,
                   bool training, uint64_t seed, int64_t step, const std::string& name, int threads,
                   int64_t first_sample, int64_t samples, int64_t rows, int64_t global_rows, float loss_scale,
                   const std::optional<Arrays>& states, const std::vector<std::string>& grad_modes,
                   const std::string& dtype, int64_t gap) {
  LayerRunner runner(type, params, dtype, seed, threads, gap);
  runner.set_inputs(inputs);
  runner.set_weights(weights, states);
  runner.set_gradients(d_outputs, grad_modes);
  if (rows < 0) rows = runner.batch();
  if (global_rows < 0) global_rows = rows;
  const ctr::StepState state{.step = step,
                             .loss_scale = loss_scale,
                             .global_rows = global_rows,
                             .rows = rows,
                             .first_sample = first_sample,
                             .batch = runner.batch()};
  const bool backward = training && (runner.is_loss() || d_outputs);
  {
    nb::gil_scoped_release release;
    runner.run(state, name, samples < 0 ? runner.batch() : samples, training, backward);
  }
  return runner.results(backward);
}

// Keywords -> graph entry -> keywords: the entry, and the values read back from it.
nb::tuple params_round_trip(const std::string& type, const nb::dict& keywords) {
  const ctr::LayerDef& def = ctr::find_layer(type);
  const ctr::Params params = ctr::params_from_keywords(def.params, to_json(keywords), type);
  ctr::Json entry = ctr::Json::object();
  ctr::params_to_graph(def.params, params, entry);
  const ctr::Params again = ctr::params_from_graph(def.params, entry, type);
  return nb::make_tuple(entry.dump(), params.values() == again.values());
}

nb::dict params_from_entry(const std::string& type, const nb::dict& entry) {
  nb::dict d;
  const ctr::LayerDef& def = ctr::find_layer(type);
  const ctr::Params params = ctr::params_from_graph(def.params, to_json(entry), type);
  for (const auto& [keyword, value] : params.values()) d[keyword.c_str()] = value;
  return d;
}

}  // namespace

void bind_layers(nb::module_& m) {
  m.def("layer_catalog", &catalog,
        "One dict a layer: name, aliases, doc, min_inputs, max_inputs, is_loss, params.");

  nb::module_ testing = m.def_submodule("testing", "Entry points of the test suite.");
  testing.def("run_layer", &run_layer, nb::arg("type"), nb::arg("params"), nb::arg("inputs"),
              nb::arg("weights") = nb::none(), nb::arg("d_outputs") = nb::none(), nb::kw_only(),
              nb::arg("training") = true, nb::arg("seed") = 1, nb::arg("step") = 0, nb::arg("name") = "layer",
              nb::arg("threads") = 1, nb::arg("first_sample") = 0, nb::arg("samples") = -1,
              nb::arg("rows") = -1, nb::arg("global_rows") = -1, nb::arg("loss_scale") = 1.0f,
              nb::arg("states") = nb::none(), nb::arg("grad_modes") = std::vector<std::string>(),
              nb::arg("dtype") = "f32", nb::arg("gap") = 0,
              "Run one layer forward and, when gradients are given or it is a loss, backward.");
  testing.def("bf16_instructions", &ctr::bf16_instructions,
              "Name of this CPU's instructions for bf16 matrix products; None without.");
  testing.def("params_round_trip", &params_round_trip, nb::arg("type"), nb::arg("keywords"),
              "(graph entry as text, whether reading it gives the same parameters)");
  testing.def("params_from_entry", &params_from_entry, nb::arg("type"), nb::arg("entry"),
              "A layer's parameters from its entry in a graph file.");
}
