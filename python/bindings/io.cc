// SPDX-License-Identifier: Apache-2.0
#include <nanobind/stl/pair.h>
#include <nanobind/stl/vector.h>

#include <string>
#include <utility>
#include <vector>

#include "bind.h"
#include "gil.h"
#include "io/file.h"
#include "io/transaction.h"
#include "path.h"

namespace {

nb::bytes read_file(const Path& path, int64_t max_bytes) {
  std::string content;
  {
    const WithoutGil released;
    content = ctr::read_file(path, max_bytes);
  }
  return nb::bytes(content.data(), content.size());
}

void write_file(const Path& path, const nb::iterable& chunks) {
  const WithoutGil released;
  ctr::write_atomically(path, [&](ctr::OutputFile& file) {
    const WithGil gil;
    for (const nb::handle chunk : chunks) {
      const auto bytes = nb::cast<nb::bytes>(chunk);
      const WithoutGil writing;
      file.write(bytes.c_str(), bytes.size());
    }
  });
}

void replace_files(const Path& name, const std::vector<std::pair<Path, nb::bytes>>& files) {
  struct View {
    const void* data;
    size_t size;
  };
  std::vector<View> contents;  // read without the interpreter's lock
  for (const auto& [path, content] : files) contents.push_back({content.data(), content.size()});
  const WithoutGil released;
  ctr::Transaction transaction(name);
  for (size_t i = 0; i < files.size(); ++i)
    transaction.add_file(files[i].first,
                         [&](ctr::OutputFile& file) { file.write(contents[i].data, contents[i].size); });
  transaction.commit();
}

void recover_files(const Path& path) {
  const WithoutGil released;
  ctr::recover_transactions(path);
}

}  // namespace

void bind_io(nb::module_& m) {
  m.def("read_file", &read_file, nb::arg("path"), nb::arg("max_bytes"),
        "The content of a file. A pipe or device, and more bytes than that, are errors.");
  m.def("write_file", &write_file, nb::arg("path"), nb::arg("chunks"),
        "Replaces a file as a whole or not at all; its content is given as an iterable of bytes.");
  m.def("replace_files", &replace_files, nb::arg("name"), nb::arg("files"),
        "Replaces files, given as (path, content), together: all of them or none.");
  m.def("recover_files", &recover_files, nb::arg("path"),
        "Completes what replaces the file and was interrupted.");
}
