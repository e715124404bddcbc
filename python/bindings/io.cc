// SPDX-License-Identifier: Apache-2.0
#include <string>

#include "bind.h"
#include "io/file.h"

namespace {

// Paths are bytes: names of files need not be text.
std::string to_string(const nb::bytes& bytes) { return {bytes.c_str(), bytes.size()}; }

nb::bytes read_file(const nb::bytes& path, int64_t max_bytes) {
  const std::string name = to_string(path);
  std::string content;
  {
    const nb::gil_scoped_release release;
    content = ctr::read_file(name, max_bytes);
  }
  return nb::bytes(content.data(), content.size());
}

void write_file(const nb::bytes& path, const nb::bytes& content) {
  const std::string name = to_string(path), data = to_string(content);
  const nb::gil_scoped_release release;
  ctr::write_atomically(name, [&](ctr::OutputFile& file) { file.write(data.data(), data.size()); });
}

}  // namespace

void bind_io(nb::module_& m) {
  m.def("read_file", &read_file, nb::arg("path"), nb::arg("max_bytes"),
        "The content of a file. A pipe or device, and more bytes than that, are errors.");
  m.def("write_file", &write_file, nb::arg("path"), nb::arg("content"),
        "Replaces a file as a whole or not at all.");
}
