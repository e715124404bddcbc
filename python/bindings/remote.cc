// SPDX-License-Identifier: Apache-2.0
#include "remote.h"

#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <cstring>
#include <memory>

#include "base/error.h"
#include "gil.h"
#include "io/object_store.h"
#include "path.h"

namespace {

// Held by threads without the interpreter's lock; may die on one.
class Held {
 public:
  explicit Held(nb::object object)
      : object_(new nb::object(std::move(object)), [](nb::object* o) {
          const WithGil gil;
          delete o;
        }) {}
  const nb::object& operator*() const { return *object_; }

 private:
  std::shared_ptr<nb::object> object_;
};

// Calls body() with the interpreter's lock; what it raises has the text of a FileError.
template <class Body>
auto ask(const Body& body) {
  const WithGil gil;
  try {
    return body();
  } catch (nb::python_error& error) {
    if (!error.matches(PyExc_Exception)) throw;  // an interrupt
    const nb::object text = nb::str(error.value()).attr("encode")("utf-8", "backslashreplace");
    ctr::fail(ctr::ErrorKind::io, "{}", nb::cast<nb::bytes>(text).c_str());
  }
}

class RemoteFile final : public ctr::RandomAccessFile {
 public:
  RemoteFile(const std::string& path, nb::object file, int64_t size)
      : RandomAccessFile(path, size), file_(std::move(file)) {}

  size_t read_at(int64_t offset, void* to, size_t bytes) const override {
    return ask([&] {
      const auto content = nb::cast<nb::bytes>((*file_).attr("read_at")(offset, bytes));
      const size_t count = std::min(content.size(), bytes);
      std::memcpy(to, content.c_str(), count);
      return count;
    });
  }

 private:
  Held file_;
};

class RemoteOutput final : public ctr::OutputFile {
 public:
  explicit RemoteOutput(nb::object file) : file_(std::move(file)) {}
  ~RemoteOutput() override {
    if (finished_) return;
    const WithGil gil;
    try {
      (*file_).attr("discard")();
    } catch (nb::python_error& error) {
      error.discard_as_unraisable("discarding an upload");
    }
  }

 private:
  void put(const void* data, size_t bytes) override {
    if (bytes > 0) ask([&] { (*file_).attr("write")(nb::bytes(data, bytes)); });
  }
  void finish() override {
    ask([&] { (*file_).attr("close")(); });
    finished_ = true;
  }

  Held file_;
  bool finished_ = false;
};

// What hugectr.remote has; the module is loaded by then, since paths of its kind have passed through it.
nb::object store() { return nb::module_::import_("hugectr.remote").attr("STORE"); }

class PythonStore final : public ctr::ObjectStore {
 public:
  std::unique_ptr<ctr::RandomAccessFile> open(const std::string& path) const override {
    return ask([&]() -> std::unique_ptr<ctr::RandomAccessFile> {
      nb::object file = store().attr("open")(Path{path});
      const auto size = nb::cast<int64_t>(file.attr("size"));
      return std::make_unique<RemoteFile>(path, std::move(file), size);
    });
  }
  Kind kind(const std::string& path) const override {
    return ask([&] {
      const auto kind = nb::cast<std::string>(store().attr("kind")(Path{path}));
      return kind == "file" ? Kind::file : kind == "directory" ? Kind::directory : Kind::nothing;
    });
  }
  std::vector<std::string> list(const std::string& directory) const override {
    return ask([&] { return nb::cast<std::vector<std::string>>(store().attr("list")(Path{directory})); });
  }
  std::unique_ptr<ctr::OutputFile> create(const std::string& path) const override {
    return ask([&]() -> std::unique_ptr<ctr::OutputFile> {
      return std::make_unique<RemoteOutput>(store().attr("create")(Path{path}));
    });
  }
  void move(const std::string& from, const std::string& to) const override {
    ask([&] { store().attr("move")(Path{from}, Path{to}); });
  }
  void remove(const std::string& path) const override {
    ask([&] { store().attr("remove")(Path{path}); });
  }
};

}  // namespace

const ctr::Files& files() {
  static const ctr::Files files =
      ctr::make_files_by_scheme(ctr::make_remote_files(std::make_shared<PythonStore>()));
  return files;
}
