// SPDX-License-Identifier: Apache-2.0
#include <nanobind/stl/function.h>
#include <nanobind/stl/string.h>

#include "base/error.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "base/parallel.h"
#include "base/threads.h"
#include "bind.h"
#include "device/plugin.h"
#include "shared_engine.h"

namespace {

// Python side of ErrorKind; hugectr/errors.py gives each class its built-in ancestor too.
PyObject* exception_class(ctr::ErrorKind kind) {
  constexpr const char* names[] = {
      "InvalidArgumentError", "NotFoundError", "UnsupportedError", "FileError",
      "OutOfMemoryError",     "DeviceError",   "InternalError",    "TrainingDivergedError"};
  nb::object type = nb::module_::import_("hugectr.errors").attr(names[static_cast<int>(kind)]);
  return type.release().ptr();
}

// A message may quote bytes of a file or its name.
nb::object text_of(std::string_view message) {
  const auto size = static_cast<Py_ssize_t>(message.size());
  return nb::steal(PyUnicode_DecodeUTF8(message.data(), size, "backslashreplace"));
}

// The other way: what Python holds of such a name.
std::string bytes_of(const nb::str& message) {
  const auto bytes =
      nb::steal<nb::bytes>(PyUnicode_AsEncodedString(message.ptr(), "utf-8", "backslashreplace"));
  if (!bytes.is_valid()) throw nb::python_error();
  return {bytes.c_str(), bytes.size()};
}

}  // namespace

void bind_base(nb::module_& m) {
  nb::register_exception_translator([](const std::exception_ptr& p, void*) {
    try {
      std::rethrow_exception(p);
    } catch (const ctr::Error& e) {
      PyObject* type = exception_class(e.kind());
      PyErr_SetObject(type, text_of(e.what()).ptr());
      Py_DECREF(type);
    }
  });

  ctr::set_interrupt_check([] {
    const WithGil gil;
    if (is_closing()) PyErr_SetNone(PyExc_SystemExit);  // ends a thread without a word
    if (PyErr_Occurred() || PyErr_CheckSignals() != 0) throw nb::python_error();
  });

  m.def(
      "set_log_sink",
      [](nb::object sink) {
        if (sink.is_none()) return ctr::log::set_sink({});
        // Leaked on purpose: a reader thread may log while the interpreter is shutting down.
        auto* callback = new nb::object(std::move(sink));
        ctr::log::set_sink([callback](ctr::log::Level level, std::string_view line) {
          const WithGil gil;
          if (!is_closing()) (*callback)(level == ctr::log::Level::error, text_of(line));
        });
      },
      nb::arg("sink").none(), "Route log lines to sink(is_error, line); None restores stdout and stderr.");
  m.def("log_info", [](const nb::str& text) { ctr::log::info("{}", bytes_of(text)); });
  m.def("log_warning", [](const nb::str& text) { ctr::log::warning("{}", bytes_of(text)); });
  m.def("log_plain", [](const nb::str& text) { ctr::log::plain(bytes_of(text)); });
  m.def("warn_once", [](const nb::str& text) { ctr::log::warn_once(bytes_of(text)); });
  m.def(
      "default_device", [] { return ctr::default_backend() == ctr::Backend::cuda ? "cuda" : "cpu"; },
      "What models run on: \"cuda\" or \"cpu\".");
  m.def("available_threads", &ctr::available_threads);
  m.def("startable_threads", &ctr::startable_threads, nb::arg("most"));
}
