// SPDX-License-Identifier: Apache-2.0
// Embeddings are driven from Python by tests only; models use them through bindings/model.cc.
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
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
#include "embedding/embedding.h"
#include "embedding/placement.h"

namespace {

template <class T>
using Array = nb::ndarray<T, nb::c_contig, nb::device::cpu>;

template <class T>
std::vector<T> to_vector(const Array<const T>& a) {
  return {a.data(), a.data() + a.size()};
}

template <class T>
nb::object to_numpy(std::vector<T> values, std::initializer_list<size_t> shape) {
  auto* owned = new std::vector<T>(std::move(values));
  nb::capsule owner(owned, [](void* p) noexcept { delete static_cast<std::vector<T>*>(p); });
  return nb::cast(nb::ndarray<nb::numpy, T>(owned->data(), shape, owner));
}

// Assigns d[key] to `field` where it is given.
template <class T>
void take(const nb::dict& d, const char* key, T& field) {
  if (d.contains(key)) field = nb::cast<T>(d[key]);
}
template <class T>
void take_array(const nb::dict& d, const char* key, std::vector<T>& field) {
  if (d.contains(key)) field = to_vector(nb::cast<Array<const T>>(d[key]));
}

ctr::OptimizerSpec optimizer_from(const nb::dict& d) {
  ctr::OptimizerSpec spec;
  spec.type = ctr::parse_optimizer(nb::cast<std::string>(d["type"]));
  if (d.contains("update")) spec.update = ctr::parse_update(nb::cast<std::string>(d["update"]));
  take(d, "beta1", spec.beta1);
  take(d, "beta2", spec.beta2);
  take(d, "epsilon", spec.epsilon);
  take(d, "initial_accumulator", spec.initial_accumulator);
  take(d, "momentum", spec.momentum);
  take(d, "beta", spec.beta);
  take(d, "lambda1", spec.lambda1);
  take(d, "lambda2", spec.lambda2);
  take(d, "atomic_update", spec.atomic_update);
  return spec;
}

ctr::EmbeddingSpec spec_from(const nb::dict& d) {
  ctr::EmbeddingSpec spec;
  const auto type = nb::cast<std::string>(d["type"]);
  spec.type = type == "distributed" ? ctr::EmbeddingType::distributed_hash
              : type == "localized" ? ctr::EmbeddingType::localized_hash
                                    : ctr::EmbeddingType::localized_one_hot;
  std::string combiner = "sum";
  take(d, "combiner", combiner);
  spec.combiner = combiner == "mean" ? ctr::Combiner::mean : ctr::Combiner::sum;
  take(d, "name", spec.name);
  take(d, "bottom", spec.bottom);
  take(d, "slots", spec.slots);
  take(d, "workspace_mb", spec.workspace_mb);
  take(d, "rows", spec.rows);
  take(d, "counts_states", spec.counts_states);
  take(d, "dim", spec.dim);
  take(d, "slot_size_array", spec.slot_size_array);
  spec.optimizer = optimizer_from(nb::cast<nb::dict>(d["optimizer"]));
  return spec;
}

ctr::RowBlock dump_from(const nb::dict& d) {
  ctr::RowBlock dump;
  take_array(d, "keys", dump.keys);
  take_array(d, "slot_ids", dump.slot_ids);
  take_array(d, "vectors", dump.vectors);
  take_array(d, "last_steps", dump.last_steps);
  if (d.contains("states"))
    for (nb::handle state : d["states"])
      dump.states.push_back(to_vector(nb::cast<Array<const float>>(state)));
  return dump;
}

nb::dict dict_from(ctr::RowBlock dump, int64_t dim) {
  const size_t n = dump.keys.size(), width = static_cast<size_t>(dim);
  nb::dict d;
  nb::list states;
  for (auto& state : dump.states) states.append(to_numpy(std::move(state), {n, width}));
  d["states"] = states;
  d["slot_ids"] = to_numpy(std::move(dump.slot_ids), {dump.slot_ids.size()});
  d["last_steps"] = to_numpy(std::move(dump.last_steps), {dump.last_steps.size()});
  d["vectors"] = to_numpy(std::move(dump.vectors), {n, width});
  d["keys"] = to_numpy(std::move(dump.keys), {n});
  return d;
}

// The ranks of one process, each with its own thread, on the device that models run on.
class Ranks {
 public:
  Ranks(const std::vector<ctr::EmbeddingSpec>& specs, int64_t max_batch, uint64_t seed, int threads,
        int world_size)
      : device_{ctr::default_backend(), 0},
        step_memory_(device_, sizeof(ctr::StepState), "step"),
        contexts_(static_cast<size_t>(world_size)),
        comms_(ctr::make_local_comms(world_size)) {
    for (int r = 0; r < world_size; ++r) {
      streams_.emplace_back(device_);
      contexts_[r] = {.device = device_,
                      .threads = threads,
                      .stream = streams_.back().handle(),
                      .seed = seed,
                      .rank = r,
                      .world_size = world_size,
                      .step = reinterpret_cast<const ctr::StepState*>(step_memory_.data())};
      groups_.push_back(ctr::make_embedding_group(contexts_[r], specs, max_batch));
    }
  }

  Ranks(const Ranks&) = delete;

  int size() const { return static_cast<int>(groups_.size()); }
  ctr::EmbeddingGroup& group(int rank) { return *groups_.at(static_cast<size_t>(rank)); }
  void set_step(const ctr::StepState& step) {
    ctr::memory_backend(device_).copy_to_device(contexts_[0], step_memory_.data(), &step, sizeof(step));
    ctr::memory_backend(device_).synchronize(contexts_[0]);
  }

  // Runs f(rank, context, comm, group) on every rank and rethrows the error of the lowest one.
  template <class F>
  void run(const F& f) {
    std::vector<std::exception_ptr> errors(groups_.size());
    std::vector<std::thread> threads;
    for (int r = 0; r < size(); ++r)
      threads.emplace_back([&, r] {
        try {
          f(r, contexts_[r], *comms_[r], *groups_[r]);
        } catch (...) {
          errors[r] = std::current_exception();
          comms_[r]->abort();
        }
      });
    for (auto& thread : threads) thread.join();
    for (auto& comm : comms_) comm->reset();
    for (auto& error : errors)
      if (error) std::rethrow_exception(error);
  }

 private:
  ctr::Device device_;
  std::vector<ctr::Stream> streams_;
  ctr::Buffer step_memory_;
  std::vector<ctr::Context> contexts_;
  std::vector<std::unique_ptr<ctr::Comm>> comms_;
  std::vector<std::unique_ptr<ctr::EmbeddingGroup>> groups_;
};

using Bag = std::pair<Array<const int64_t>, Array<const int64_t>>;  // offsets, keys

// This rank's samples of a whole batch's tensor, on the device: [samples, slots, dim].
class Slice {
 public:
  Slice(const ctr::Context& ctx, const ctr::EmbeddingSpec& spec, int64_t samples)
      : offset_(ctx.rank * samples * spec.slots * spec.dim),
        memory_(ctx.device, static_cast<size_t>(samples * spec.slots * spec.dim) * sizeof(float), "test"),
        tensor_(ctr::DType::f32, {samples, spec.slots, spec.dim}, memory_.data()) {}
  const ctr::Tensor& tensor() const { return tensor_; }
  void take(const ctr::Context& ctx, const float* whole) {
    ctr::copy_to_device(ctx, tensor_, whole + offset_);
  }
  void give(const ctr::Context& ctx, float* whole) const { ctr::copy_to_host(ctx, whole + offset_, tensor_); }

 private:
  int64_t offset_;
  ctr::Buffer memory_;
  ctr::Tensor tensor_;
};

std::vector<nb::object> step(Ranks& ranks, const std::vector<Bag>& inputs,
                             const std::optional<std::vector<Array<float>>>& d_outputs, bool training,
                             float lr, float loss_scale, const std::vector<bool>& frozen) {
  const int count = ranks.group(0).count();
  std::vector<ctr::CsrKeys> keys;
  std::vector<const ctr::CsrKeys*> pointers;
  std::vector<std::vector<float>> outputs;
  for (int e = 0; e < count; ++e) {
    const auto& spec = ranks.group(0).spec(e);
    keys.push_back({spec.slots, to_vector(inputs[e].first), to_vector(inputs[e].second)});
    outputs.emplace_back((keys.back().offsets.size() - 1) * static_cast<size_t>(spec.dim));
  }
  for (const auto& k : keys) pointers.push_back(&k);
  const int64_t batch = (std::ssize(keys[0].offsets) - 1) / keys[0].slots, samples = batch / ranks.size();
  ranks.set_step({.learning_rate = lr, .loss_scale = loss_scale});
  {
    nb::gil_scoped_release released;
    ranks.run([&](int, ctr::Context& ctx, ctr::Comm&, ctr::EmbeddingGroup& group) {
      group.stage(ctx, pointers, batch, training);
    });
    ranks.run([&](int, ctr::Context& ctx, ctr::Comm& comm, ctr::EmbeddingGroup& group) {
      std::vector<Slice> slices;
      std::vector<ctr::Tensor> y, d_y;
      for (int e = 0; e < count; ++e) y.push_back(slices.emplace_back(ctx, group.spec(e), samples).tensor());
      for (int e = 0; d_outputs && e < count; ++e) {
        Slice& slice = slices.emplace_back(ctx, group.spec(e), samples);
        slice.take(ctx, (*d_outputs)[e].data());
        d_y.push_back(slice.tensor());
      }
      group.forward(ctx, comm, y);
      if (d_outputs) group.backward(ctx, comm, d_y, frozen.empty() ? std::vector<bool>(count) : frozen);
      for (int e = 0; e < count; ++e) slices[e].give(ctx, outputs[e].data());
    });
  }
  std::vector<nb::object> result;
  for (int e = 0; e < count; ++e) {
    const auto& spec = ranks.group(0).spec(e);
    result.push_back(to_numpy(
        std::move(outputs[e]),
        {static_cast<size_t>(batch), static_cast<size_t>(spec.slots), static_cast<size_t>(spec.dim)}));
  }
  return result;
}

void bind_group(nb::module_& m) {
  nb::class_<Ranks>(m, "EmbeddingGroup", "All embeddings of a model on every rank of this process.")
      .def(
          "__init__",
          [](Ranks* self, const std::vector<nb::dict>& specs, int64_t max_batch, uint64_t seed, int threads,
             int world_size) {
            std::vector<ctr::EmbeddingSpec> parsed;
            for (const auto& d : specs) parsed.push_back(spec_from(d));
            new (self) Ranks(parsed, max_batch, seed, threads, world_size);
          },
          nb::arg("specs"), nb::arg("max_batch"), nb::arg("seed") = 1, nb::arg("threads") = 1,
          nb::arg("world_size") = 1)
      .def("step", &step, nb::arg("inputs"), nb::arg("d_outputs").none() = nb::none(), nb::kw_only(),
           nb::arg("training") = true, nb::arg("lr") = 0.1f, nb::arg("loss_scale") = 1.0f,
           nb::arg("frozen") = std::vector<bool>{},
           "Look up (offsets, keys) of the whole batch; with d_outputs, update. Returns [batch, slots, dim] "
           "arrays.")
      .def(
          "export_rows",
          [](Ranks& self, int e, int rank, bool with_states) {
            return dict_from(self.group(rank).export_rows(e, with_states), self.group(rank).spec(e).dim);
          },
          nb::arg("e"), nb::arg("rank"), nb::arg("with_states") = true)
      .def("import_rows",
           [](Ranks& self, int e, const nb::dict& d) {
             const ctr::RowBlock dump = dump_from(d);
             for (int r = 0; r < self.size(); ++r) self.group(r).import_rows(e, dump);
           })
      .def("import_states",
           [](Ranks& self, int e, const nb::dict& d) {
             const ctr::RowBlock dump = dump_from(d);
             for (int r = 0; r < self.size(); ++r) self.group(r).import_states(e, dump);
           })
      .def("size", [](Ranks& self, int e, int rank) { return self.group(rank).size(e); })
      .def("capacity", [](Ranks& self, int e, int rank) { return self.group(rank).capacity(e); })
      .def("optimizer_step", [](Ranks& self, int e) { return self.group(0).optimizer_step(e); })
      .def("set_optimizer_step", [](Ranks& self, int e, int64_t step) {
        for (int r = 0; r < self.size(); ++r) self.group(r).set_optimizer_step(e, step);
      });
}

}  // namespace

void bind_embedding(nb::module_& m) {
  m.def("check_vector_size", &ctr::require_vector_size, nb::arg("where"), nb::arg("embedding_vec_size"),
        "Raises unless an embedding can have vectors of that length.");
  nb::module_ testing = m.def_submodule("testing");
  bind_group(testing);
  testing.def("row_capacity", [](const nb::dict& spec, int rank, int world_size) {
    return ctr::row_capacity(spec_from(spec), rank, world_size);
  });
  testing.def("row_limit", [](const nb::dict& spec, int rank, int world_size) {
    return ctr::row_limit(spec_from(spec), rank, world_size);
  });
  testing.def("owner_of", [](const nb::dict& spec, int64_t key, int64_t slot, int world_size) {
    return ctr::owner_of(spec_from(spec), key, slot, world_size);
  });
  testing.def("workspace_mb_for", [](const nb::dict& spec, int64_t rows) {
    return ctr::workspace_mb_for(spec_from(spec), rows);
  });
}
