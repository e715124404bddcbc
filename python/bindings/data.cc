// SPDX-License-Identifier: Apache-2.0
#include <nanobind/ndarray.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <memory>

#include "arrow_opener.h"
#include "bind.h"
#include "data/reader.h"
#include "path.h"

namespace {

template <class T>
using Array1 = nb::ndarray<nb::numpy, T, nb::ndim<1>>;
template <class T>
using Array2 = nb::ndarray<nb::numpy, T, nb::ndim<2>>;

template <class T>
T* copy_of(const std::vector<T>& values) {
  auto* copy = new T[std::max<size_t>(values.size(), 1)];
  std::copy(values.begin(), values.end(), copy);
  return copy;
}

template <class T>
Array1<T> to_numpy(const std::vector<T>& values) {
  T* copy = copy_of(values);
  return {copy, {values.size()}, nb::capsule(copy, [](void* p) noexcept { delete[] static_cast<T*>(p); })};
}

Array2<float> to_matrix(const std::vector<float>& values, int64_t rows) {
  float* copy = copy_of(values);
  const auto n = static_cast<size_t>(rows);
  return {copy, {n, values.size() / n}, nb::capsule(copy, [](void* p) noexcept {
            delete[] static_cast<float*>(p);
          })};
}

// A reader without a model, for tests. Everything that waits for reader threads runs without the GIL: they
// may need it to log or to open a file.
class TestReader {
 public:
  explicit TestReader(const ctr::ReaderSpec& spec) : reader_(ctr::make_reader(spec)) {}
  ~TestReader() {
    nb::gil_scoped_release release;
    reader_.reset();
  }
  ctr::Reader& operator*() { return *reader_; }

 private:
  std::unique_ptr<ctr::Reader> reader_;
};

nb::object next_batch(TestReader& self) {
  const ctr::Batch* batch;
  {
    nb::gil_scoped_release release;
    batch = (*self).next();
  }
  if (!batch) return nb::none();
  nb::dict result;
  result["size"] = batch->size;
  result["labels"] = to_matrix(batch->labels, batch->capacity);
  result["dense"] = to_matrix(batch->dense, batch->capacity);
  nb::list sparse;
  for (const ctr::CsrKeys& csr : batch->sparse)
    sparse.append(nb::make_tuple(to_numpy(csr.offsets), to_numpy(csr.keys)));
  result["sparse"] = sparse;
  return result;
}

// Samples left.
int64_t count(TestReader& self) {
  int64_t samples = 0;
  while (const ctr::Batch* batch = (*self).next()) samples += batch->size;
  return samples;
}

void bind_spec(nb::module_& m) {
  nb::enum_<ctr::DataFormat>(m, "DataFormat")
      .value("norm", ctr::DataFormat::norm)
      .value("raw", ctr::DataFormat::raw)
      .value("raw_async", ctr::DataFormat::raw_async)
      .value("parquet", ctr::DataFormat::parquet);
  nb::class_<ctr::SparseInputSpec>(m, "SparseInputSpec")
      .def(
          "__init__",
          [](ctr::SparseInputSpec* self, std::string name, std::vector<int64_t> nnz_per_slot,
             bool is_fixed_length, int64_t max_keys) {
            new (self)
                ctr::SparseInputSpec{std::move(name), std::move(nnz_per_slot), is_fixed_length, max_keys};
          },
          nb::arg("name"), nb::arg("nnz_per_slot"), nb::arg("is_fixed_length") = false,
          nb::arg("max_keys") = 0);
  nb::class_<ctr::ReaderSpec>(m, "ReaderSpec")
      .def(nb::init<>())
      .def_rw("format", &ctr::ReaderSpec::format)
      .def_prop_rw(
          "source", [](const ctr::ReaderSpec& self) { return Path{self.source}; },
          [](ctr::ReaderSpec& self, const Path& source) { self.source = source; })
      .def_rw("batch_size", &ctr::ReaderSpec::batch_size)
      .def_rw("label_dim", &ctr::ReaderSpec::label_dim)
      .def_rw("dense_dim", &ctr::ReaderSpec::dense_dim)
      .def_rw("sparse", &ctr::ReaderSpec::sparse)
      .def_rw("repeat", &ctr::ReaderSpec::repeat)
      .def_rw("num_workers", &ctr::ReaderSpec::num_workers)
      .def_rw("check_sum", &ctr::ReaderSpec::check_sum)
      .def_rw("i64_keys", &ctr::ReaderSpec::i64_keys)
      .def_rw("float_label_dense", &ctr::ReaderSpec::float_label_dense)
      .def_rw("num_samples", &ctr::ReaderSpec::num_samples)
      .def_rw("shuffle", &ctr::ReaderSpec::shuffle)
      .def_rw("seed", &ctr::ReaderSpec::seed)
      .def_rw("slot_size_array", &ctr::ReaderSpec::slot_size_array)
      .def_rw("apply_offsets", &ctr::ReaderSpec::apply_offsets)
      .def_rw("prefetch", &ctr::ReaderSpec::prefetch)
      .def_prop_rw(
          "open_arrow", [](const ctr::ReaderSpec& self) { return static_cast<bool>(self.open_arrow); },
          [](ctr::ReaderSpec& self, nb::object open) { self.open_arrow = arrow_opener(std::move(open)); },
          nb::arg("open").none());
}

}  // namespace

void bind_data(nb::module_& m) {
  m.attr("MAX_SLOTS") = ctr::kMaxSlots;
  nb::module_ testing = m.def_submodule("testing");
  bind_spec(testing);
  nb::class_<TestReader>(testing, "Reader")
      .def(nb::init<const ctr::ReaderSpec&>(), nb::arg("spec"))
      .def(
          "start", [](TestReader& self, const Path& source) { (*self).start(source); },
          nb::arg("source") = Path{}, nb::call_guard<nb::gil_scoped_release>())
      .def("started", [](TestReader& self) { return (*self).started(); })
      .def("count", &count, nb::call_guard<nb::gil_scoped_release>(), "Pulls all that is left: samples.")
      .def("count_holding_gil", &count)
      .def("next", &next_batch,
           "The next batch as {size, labels, dense, sparse: [(offsets, keys)]}, or None.")
      .def(
          "at_end", [](TestReader& self) { return (*self).at_end(); },
          nb::call_guard<nb::gil_scoped_release>())
      .def_prop_ro("source", [](TestReader& self) { return Path{(*self).source()}; })
      .def_prop_ro("skipped", [](TestReader& self) { return (*self).skipped(); });
}
