// SPDX-License-Identifier: Apache-2.0
#include "arrow_opener.h"

#include <nanobind/stl/string.h>

#include <memory>

#include "base/error.h"
#include "data/arrow_abi.h"
#include "data_file.h"
#include "gil.h"

namespace {

void take_stream(const nb::object& open, std::shared_ptr<const ctr::RandomAccessFile> file,
                 const std::vector<ctr::ParquetColumn>& columns, ArrowArrayStream* stream) {
  nb::list wanted;
  for (const auto& [index, name] : columns) wanted.append(nb::make_tuple(index, name));
  const nb::object capsule = open(DataFile{std::move(file)}, wanted).attr("__arrow_c_stream__")();
  auto* source = static_cast<ArrowArrayStream*>(PyCapsule_GetPointer(capsule.ptr(), "arrow_array_stream"));
  if (!source) throw nb::python_error();
  *stream = *source;
  source->release = nullptr;  // moved: the interface's rule
}

ctr::ErrorKind error_kind(const nb::python_error& error) {
  const nb::module_ errors = nb::module_::import_("hugectr.errors");
  if (error.matches(errors.attr("InvalidArgumentError"))) return ctr::ErrorKind::invalid_argument;
  return error.matches(errors.attr("OutOfMemoryError")) ? ctr::ErrorKind::out_of_memory : ctr::ErrorKind::io;
}

thread_local bool opening = false;

struct Opening {
  Opening() { opening = true; }
  ~Opening() { opening = false; }
};

}  // namespace

bool is_opening() { return opening; }

ctr::ArrowOpener arrow_opener(nb::object open) {
  if (open.is_none()) return {};
  // The last copy may die on a thread without the GIL.
  const std::shared_ptr<nb::object> held(new nb::object(std::move(open)), [](nb::object* object) {
    const WithGil gil;
    delete object;
  });
  return [held](std::shared_ptr<const ctr::RandomAccessFile> file,
                const std::vector<ctr::ParquetColumn>& columns, ArrowArrayStream* stream) {
    const WithGil gil;
    const Opening here;
    try {
      take_stream(*held, std::move(file), columns, stream);
    } catch (nb::python_error& e) {
      const nb::object text = nb::str(e.value()).attr("encode")("utf-8", "backslashreplace");
      ctr::fail(error_kind(e), "{}", nb::cast<nb::bytes>(text).c_str());
    }
  };
}
