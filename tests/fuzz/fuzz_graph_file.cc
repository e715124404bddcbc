// SPDX-License-Identifier: Apache-2.0
// A graph file of arbitrary text, turned into a model, a summary and a graph file again.
#include "base/error.h"
#include "model/bind.h"
#include "model/formats/graph_json.h"
#include "model/formats/spec_json.h"
#include "model/summary.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  const std::string text(reinterpret_cast<const char*>(bytes), size);
  try {
    const ctr::ModelSpec spec = ctr::bind(ctr::spec_from_json(ctr::spec_to_json(ctr::graph_from_json(text))));
    ctr::summary(spec);
    ctr::graph_from_json(ctr::graph_to_json(spec));
  } catch (const ctr::Error&) {
  }
  return 0;
}
