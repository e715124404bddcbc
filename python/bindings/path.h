// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "bind.h"

// A path between Python and the core: any bytes, as os.fsencode and os.fsdecode have them. A plain
// std::string takes and gives text only.
struct Path {
  std::string bytes;
  operator const std::string&() const { return bytes; }  // NOLINT(google-explicit-constructor)
  bool operator<(const Path& other) const { return bytes < other.bytes; }
};

template <>
struct nanobind::detail::type_caster<Path> {
  NB_TYPE_CASTER(Path, const_name("str"))

  bool from_python(handle source, uint8_t, cleanup_list*) noexcept {
    PyObject* encoded = nullptr;
    if (!PyUnicode_FSConverter(source.ptr(), &encoded)) {
      PyErr_Clear();
      return false;
    }
    value.bytes.assign(PyBytes_AS_STRING(encoded), static_cast<size_t>(PyBytes_GET_SIZE(encoded)));
    Py_DECREF(encoded);
    return true;
  }

  static handle from_cpp(const Path& path, rv_policy, cleanup_list*) noexcept {
    return PyUnicode_DecodeFSDefaultAndSize(path.bytes.data(), static_cast<Py_ssize_t>(path.bytes.size()));
  }
};
