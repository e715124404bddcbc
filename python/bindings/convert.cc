// SPDX-License-Identifier: Apache-2.0
#include <nanobind/stl/string.h>

#include "base/parallel.h"
#include "bind.h"
#include "convert/criteo.h"
#include "gil.h"
#include "path.h"
#include "remote.h"

namespace {

ctr::Conversion conversion(const nb::object& progress) {
  ctr::Conversion conversion{.threads = ctr::available_threads()};
  if (!progress.is_none())
    conversion.progress = [&progress](int64_t bytes, int64_t of) {
      const WithGil gil;
      progress(bytes, of);
    };
  return conversion;
}

nb::tuple as_tuple(const ctr::Converted& done) { return nb::make_tuple(done.samples, done.files, done.keys); }

nb::tuple criteo_to_raw(const Path& text, const Path& raw, const nb::object& progress) {
  ctr::Converted done;
  {
    const WithoutGil released;
    done = ctr::criteo_to_raw(*files(), text, raw, conversion(progress));
  }
  return as_tuple(done);
}

nb::tuple criteo_to_norm(const Path& text, const Path& prefix, const Path& file_list, int64_t wide_keys,
                         int64_t files_per_list, const nb::object& progress) {
  ctr::Converted done;
  {
    const WithoutGil released;
    done = ctr::criteo_to_norm(*files(), text, {prefix, file_list, wide_keys, files_per_list},
                               conversion(progress));
  }
  return as_tuple(done);
}

}  // namespace

void bind_convert(nb::module_& m) {
  m.def("criteo_to_raw", &criteo_to_raw, nb::arg("text"), nb::arg("raw"), nb::arg("progress").none(),
        "Returns (samples, files, keys); `progress` is called with the bytes read and all there are.");
  m.def("criteo_to_norm", &criteo_to_norm, nb::arg("text"), nb::arg("prefix"), nb::arg("file_list"),
        nb::arg("wide_keys"), nb::arg("files_per_list"), nb::arg("progress").none(),
        "Returns (samples, files, keys); `progress` is called with the bytes read and all there are.");
}
