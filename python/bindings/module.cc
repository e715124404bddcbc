// SPDX-License-Identifier: Apache-2.0
#include "bind.h"

NB_MODULE(_core, m) {
  m.doc() = "Native core of hugectr. Use the classes of the hugectr package instead.";
#ifdef NDEBUG
  // What a daemon thread holds when the interpreter ends is never given back: no leak that a user could mend.
  nb::set_leak_warnings(false);
#endif
  m.attr("version") = HUGECTR_VERSION;
  bind_base(m);
  bind_io(m);
  bind_layers(m);
  bind_optim(m);
  bind_convert(m);
  bind_data(m);
  bind_metrics(m);
  bind_embedding(m);
  bind_model(m);
}
