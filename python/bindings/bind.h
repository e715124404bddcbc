// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nanobind/nanobind.h>

namespace nb = nanobind;

// One function per core folder; module.cc is the table of contents.
void bind_base(nb::module_& m);
void bind_io(nb::module_& m);
void bind_layers(nb::module_& m);
void bind_optim(nb::module_& m);
void bind_convert(nb::module_& m);
void bind_data(nb::module_& m);
void bind_metrics(nb::module_& m);
void bind_embedding(nb::module_& m);
void bind_model(nb::module_& m);
