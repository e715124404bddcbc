// SPDX-License-Identifier: Apache-2.0
#include "bind.h"

void bind_data(nb::module_& m) {}
