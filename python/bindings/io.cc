// SPDX-License-Identifier: Apache-2.0
#include <nanobind/stl/pair.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "bind.h"
#include "data_file.h"
#include "gil.h"
#include "path.h"
#include "remote.h"

namespace {

nb::bytes read_file(const Path& path, int64_t max_bytes) {
  std::string content;
  {
    const WithoutGil released;
    content = files()->read(path, max_bytes);
  }
  return nb::bytes(content.data(), content.size());
}

void write_file(const Path& path, const nb::iterable& chunks) {
  const WithoutGil released;
  files()->write(path, [&](ctr::OutputFile& file) {
    const WithGil gil;
    for (const nb::handle chunk : chunks) {
      const auto bytes = nb::cast<nb::bytes>(chunk);
      const WithoutGil writing;
      file.write(bytes.c_str(), bytes.size());
    }
  });
}

void replace_files(const Path& name, const std::vector<std::pair<Path, nb::bytes>>& replaced) {
  struct View {
    const void* data;
    size_t size;
  };
  std::vector<View> contents;  // read without the interpreter's lock
  for (const auto& [path, content] : replaced) contents.push_back({content.data(), content.size()});
  const WithoutGil released;
  const auto transaction = files()->begin(name);
  for (size_t i = 0; i < replaced.size(); ++i)
    transaction->add_file(replaced[i].first,
                          [&](ctr::OutputFile& file) { file.write(contents[i].data, contents[i].size); });
  transaction->commit();
}

void recover_files(const Path& path) {
  const WithoutGil released;
  files()->recover(path);
}

nb::bytes read_at(const DataFile& self, int64_t offset, int64_t bytes) {
  const int64_t left = std::max<int64_t>(self.file->size() - offset, 0);
  std::string content(static_cast<size_t>(std::clamp<int64_t>(bytes, 0, left)), '\0');
  {
    const WithoutGil released;
    content.resize(self.file->read_at(offset, content.data(), content.size()));
  }
  return nb::bytes(content.data(), content.size());
}

DataFile open_file(const Path& path) { return {files()->open(path)}; }

Path path_of(const DataFile& self) { return Path{self.file->path()}; }

}  // namespace

void bind_io(nb::module_& m) {
  nb::class_<DataFile>(m, "DataFile", "A file that the core has opened for reading.")
      .def("__fspath__", &path_of)
      .def_prop_ro(
          "size", [](const DataFile& self) { return self.file->size(); }, "Bytes.")
      .def_prop_ro(
          "is_local", [](const DataFile& self) { return self.file->is_local(); },
          "Whether the system knows the file by its path.")
      .def("read_at", &read_at, nb::arg("offset"), nb::arg("bytes"), "Fewer bytes only where the file ends.");
  m.def("open_file", &open_file, nb::arg("path"), "Opens a file; a pipe or device is an error.");
  m.def(
      "list_folder",
      [](const Path& path) {
        std::vector<std::string> names;
        {
          const WithoutGil released;
          if (files()->is_directory(path)) names = files()->list(path);
        }
        std::vector<Path> paths;
        for (std::string& name : names) paths.push_back({std::move(name)});
        return paths;
      },
      nb::arg("path"), "Names in a folder, ascending; none where it is no folder.");
  m.def("read_file", &read_file, nb::arg("path"), nb::arg("max_bytes"),
        "The content of a file. A pipe or device, and more bytes than that, are errors.");
  m.def("write_file", &write_file, nb::arg("path"), nb::arg("chunks"),
        "Replaces a file as a whole or not at all; its content is given as an iterable of bytes.");
  m.def("replace_files", &replace_files, nb::arg("name"), nb::arg("files"),
        "Replaces files, given as (path, content), together: all of them or none.");
  m.def("recover_files", &recover_files, nb::arg("path"),
        "Completes what replaces the file and was interrupted.");
}
