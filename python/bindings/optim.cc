// SPDX-License-Identifier: Apache-2.0
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/string_view.h>

#include "base/checked.h"
#include "bind.h"
#include "optim/dense_update.h"
#include "optim/schedule.h"

namespace {

using Array = nb::ndarray<float, nb::c_contig, nb::device::cpu>;

ctr::Tensor tensor(const Array& a) { return {ctr::DType::f32, {static_cast<int64_t>(a.size())}, a.data()}; }

void bind_schedule(nb::module_& m) {
  nb::class_<ctr::LearningRateSchedule>(m, "LearningRateSchedule",
                                        "Warm-up, plateau and polynomial decay of the learning rate.")
      .def(
          "__init__",
          [](ctr::LearningRateSchedule* self, float base_lr, int64_t warmup_steps, int64_t decay_start,
             int64_t decay_steps, float decay_power, float end_lr) {
            new (self) ctr::LearningRateSchedule(
                {base_lr, warmup_steps, decay_start, decay_steps, decay_power, end_lr});
          },
          nb::arg("base_lr"), nb::arg("warmup_steps") = 1, nb::arg("decay_start") = 0,
          nb::arg("decay_steps") = 1, nb::arg("decay_power") = 2.0f, nb::arg("end_lr") = 0.0f)
      .def("get_next", &ctr::LearningRateSchedule::next, "Advance one step and return its learning rate.")
      .def("get_step", &ctr::LearningRateSchedule::step, "Number of get_next() calls so far.")
      .def("set_step", &ctr::LearningRateSchedule::set_step, nb::arg("step"))
      .def_prop_ro("current", &ctr::LearningRateSchedule::current,
                   "The learning rate last returned, or the base rate.");
}

// dense_update on caller-owned arrays, updated in place.
void dense_update(const Array& weights, const Array& grads, const Array& states, std::string_view optimizer,
                  int64_t step, float lr, float loss_scale, int threads, double beta1, double beta2,
                  double epsilon, double momentum, double beta, double lambda1, double lambda2) {
  ctr::StepState state{.dense_step = step, .learning_rate = lr, .loss_scale = loss_scale};
  ctr::Context ctx{.device = {}, .threads = threads, .step = &state};
  ctr::dense_update(ctx, tensor(weights), tensor(grads), tensor(states),
                    {.type = ctr::parse_optimizer(optimizer),
                     .beta1 = beta1,
                     .beta2 = beta2,
                     .epsilon = epsilon,
                     .momentum = momentum,
                     .beta = beta,
                     .lambda1 = lambda1,
                     .lambda2 = lambda2},
                    {});
}

// Raises when a value is out of range.
void check_optimizer(std::string_view type, double beta1, double beta2, double epsilon,
                     double initial_accu_value, double momentum_factor, double beta, double lambda1,
                     double lambda2) {
  ctr::in_context("CreateOptimizer()", [&] {
    ctr::validate(ctr::OptimizerSpec{.type = ctr::parse_optimizer(type),
                                     .beta1 = beta1,
                                     .beta2 = beta2,
                                     .epsilon = epsilon,
                                     .initial_accumulator = initial_accu_value,
                                     .momentum = momentum_factor,
                                     .beta = beta,
                                     .lambda1 = lambda1,
                                     .lambda2 = lambda2});
  });
}

}  // namespace

void bind_optim(nb::module_& m) {
  bind_schedule(m);
  m.def("check_optimizer", &check_optimizer, nb::arg("optimizer_type"), nb::arg("beta1"), nb::arg("beta2"),
        nb::arg("epsilon"), nb::arg("initial_accu_value"), nb::arg("momentum_factor"), nb::arg("beta"),
        nb::arg("lambda1"), nb::arg("lambda2"), "Raises when a value is out of range.");
  m.def("checked_nonnegative", &ctr::checked_nonnegative, nb::arg("name"), nb::arg("value"),
        "`value` as a 32-bit float; raises unless it is finite and not negative.");

  nb::module_ testing = m.def_submodule("testing");
  testing.def("dense_update", &dense_update, nb::call_guard<nb::gil_scoped_release>(), nb::arg("weights"),
              nb::arg("grads"), nb::arg("states"), nb::kw_only(), nb::arg("optimizer"), nb::arg("step"),
              nb::arg("lr"), nb::arg("loss_scale") = 1.0f, nb::arg("threads") = 1, nb::arg("beta1") = 0.9,
              nb::arg("beta2") = 0.999, nb::arg("epsilon") = 1e-7, nb::arg("momentum") = 0.0,
              nb::arg("beta") = 0.0, nb::arg("lambda1") = 0.0, nb::arg("lambda2") = 0.0,
              "Update weights [n] and states [state_count * n] in place with one optimizer step.");
  testing.def(
      "state_count", [](std::string_view name) { return ctr::state_count(ctr::parse_optimizer(name)); },
      nb::arg("optimizer"), "Number of state tensors an optimizer keeps per weight tensor.");
}
