// SPDX-License-Identifier: Apache-2.0
// Record batches whose buffers are as long as their arrays say, and everything else is arbitrary.
#include <algorithm>
#include <memory>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "data/arrow_abi.h"
#include "data/parquet.h"
#include "reading.h"

namespace {

constexpr int kColumns = 3;  // a label, a dense column, a slot

// Zero bytes choose what is valid, so that most inputs get deep. One choice in 16 is hostile.
bool hostile(FuzzedDataProvider& data) { return data.ConsumeIntegralInRange(0, 15) == 15; }

const char* pick_format(FuzzedDataProvider& data, bool of_list) {
  static const char* const any[] = {"f",  "g",  "c",   "C",   "s",     "S",     "i",        "I",
                                    "l",  "L",  "b",   "e",   "d:9,2", "d:9,0", "d:9,0,32", "d:60,3,256",
                                    "+l", "+L", "+vl", "+vL", "+w:1",  "+w:2"};
  static const char* const bad[] = {"u",    "n",      "+w:0",   "+w:1000", "+w:99999999999999999999",
                                    "+s",   "+w",     "d:9",    "d:9,9,9", "d:9,99999999999999999999",
                                    "d:,,", "d:1,1,", "+w:1,1", ""};
  if (hostile(data)) return data.PickValueInArray(bad);
  return any[data.ConsumeIntegralInRange(0, of_list ? 15 : 21)];
}

struct Node {
  ArrowSchema schema{};
  ArrowArray array{};
  std::vector<std::unique_ptr<Node>> children;
  std::vector<ArrowSchema*> child_schemas;
  std::vector<ArrowArray*> child_arrays;
  std::vector<std::vector<uint8_t>> storage;
  std::vector<const void*> buffers;

  void add_child(std::unique_ptr<Node> child) {
    child_schemas.push_back(&child->schema);
    child_arrays.push_back(&child->array);
    children.push_back(std::move(child));
    schema.n_children = array.n_children = static_cast<int64_t>(children.size());
    schema.children = child_schemas.data();
    array.children = child_arrays.data();
  }
};

bool is_list(std::string_view format) { return format.ends_with('l') && format.size() > 1; }
bool is_large_list(std::string_view format) { return format.ends_with('L') && format.size() > 1; }

// List offsets 0, 1, ... of 32 or 64 bits with some of them changed, or values.
std::vector<uint8_t> make_buffer(FuzzedDataProvider& data, std::string_view format, size_t elements) {
  std::vector<uint8_t> bytes((elements + 1) * (format.starts_with("d:") ? 32 : 8));
  if (is_list(format) || is_large_list(format)) {
    const size_t width = is_list(format) ? 4 : 8;
    for (size_t i = 0; i <= elements; ++i) bytes[i * width] = static_cast<uint8_t>(i);
    bytes.resize((elements + 1) * width);
    if (data.ConsumeBool())
      bytes[data.ConsumeIntegralInRange<size_t>(0, bytes.size() - 1)] = data.ConsumeIntegral<uint8_t>();
  } else {
    const auto values = data.ConsumeBytes<uint8_t>(bytes.size());
    std::copy(values.begin(), values.end(), bytes.begin());
  }
  return bytes;
}

// Buffers of exactly the size that the array's own length and offset ask for.
void add_buffers(FuzzedDataProvider& data, Node& node) {
  const auto elements = static_cast<size_t>(node.array.offset + node.array.length);
  const std::string_view format = node.schema.format;
  node.storage.emplace_back(data.ConsumeIntegralInRange(0, 3) == 3 ? elements / 8 + 1 : 0, uint8_t{0xff});
  if (auto& valid = node.storage.back(); !valid.empty() && data.ConsumeBool())
    valid[data.ConsumeIntegralInRange<size_t>(0, valid.size() - 1)] = data.ConsumeIntegral<uint8_t>();
  node.storage.push_back(make_buffer(data, format, elements));
  if (format.starts_with("+v")) {
    node.storage.push_back(make_buffer(data, format, elements));  // sizes: 1 each
    const size_t width = is_list(format) ? 4 : 8;
    for (size_t i = 0; i < elements; ++i)
      if (node.storage[2][i * width] == i) node.storage[2][i * width] = 1;
  }
  for (const auto& buffer : node.storage) node.buffers.push_back(buffer.empty() ? nullptr : buffer.data());
  if (hostile(data)) node.buffers[1] = nullptr;
  node.array.n_buffers = hostile(data)              ? data.ConsumeIntegralInRange(0, 2)
                         : format.starts_with("+w") ? 1
                         : format.starts_with("+v") ? 3
                                                    : 2;
  node.array.buffers = node.buffers.data();
}

std::unique_ptr<Node> make_node(FuzzedDataProvider& data, int64_t rows, bool of_list) {
  auto node = std::make_unique<Node>();
  node->schema.format = pick_format(data, of_list);
  node->schema.name = data.ConsumeBool() ? "name" : nullptr;
  node->array.offset = data.ConsumeIntegralInRange(0, 4);
  node->array.length =
      rows + data.ConsumeIntegralInRange(0, 4) - (hostile(data) ? std::min<int64_t>(rows, 3) : 0);
  node->array.null_count = data.ConsumeIntegralInRange(0, 2) - 1;
  const int64_t elements = node->array.offset + node->array.length;
  add_buffers(data, *node);
  const bool is_list = node->schema.format[0] == '+';
  for (int n = hostile(data) ? data.ConsumeIntegralInRange(0, 2) : is_list; n > 0 && !of_list; --n)
    node->add_child(make_node(data, 2 * elements, true));
  if (hostile(data)) {  // lengths that no buffer can follow
    node->array.length = data.ConsumeIntegral<int64_t>() | INT64_MIN;
    node->array.offset = data.ConsumeIntegral<int64_t>();
  }
  return node;
}

void release_schema(ArrowSchema* schema) { schema->release = nullptr; }
void release_array(ArrowArray* array) { array->release = nullptr; }
void release_stream(ArrowArrayStream* stream) { stream->release = nullptr; }

// One record batch of kColumns columns.
struct Stream {
  Node root;
  int batches_left = 1;
};

int get_schema(ArrowArrayStream* stream, ArrowSchema* out) {
  *out = static_cast<Stream*>(stream->private_data)->root.schema;
  out->release = &release_schema;
  return 0;
}
int get_next(ArrowArrayStream* stream, ArrowArray* out) {
  auto* self = static_cast<Stream*>(stream->private_data);
  if (self->batches_left-- <= 0) return 0;
  *out = self->root.array;
  out->release = &release_array;
  return 0;
}

void fill_root(FuzzedDataProvider& data, Node& root) {
  const int64_t rows = 1 + data.ConsumeIntegralInRange(0, 15);
  root.schema.format = "+s";
  root.array.offset = data.ConsumeIntegralInRange(0, 2);
  for (int c = 0; c < kColumns; ++c) root.add_child(make_node(data, root.array.offset + rows, false));
  root.array.length = rows;
  if (hostile(data)) root.array.n_children = data.ConsumeIntegralInRange(0, 3);
  if (hostile(data)) root.array.length = data.ConsumeIntegral<int64_t>();
  if (hostile(data)) root.array.offset = data.ConsumeIntegral<int64_t>();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  FuzzedDataProvider data(bytes, size);
  ctr::ReaderSpec spec;
  spec.format = ctr::DataFormat::parquet;
  spec.batch_size = data.ConsumeIntegralInRange(1, 9);
  spec.label_dim = data.ConsumeIntegralInRange(1, 2);
  spec.dense_dim = data.ConsumeIntegralInRange(1, 2);
  spec.sparse = {{"input", {data.ConsumeIntegralInRange<int64_t>(1, 3)}, data.ConsumeBool()}};
  spec.i64_keys = data.ConsumeBool();
  spec.repeat = false;
  if (data.ConsumeBool()) spec.slot_size_array = {data.ConsumeIntegralInRange<int64_t>(0, 1000)};
  Stream stream;
  fill_root(data, stream.root);
  spec.open_arrow = [&](const std::shared_ptr<const ctr::RandomAccessFile>&,
                        const std::vector<ctr::ParquetColumn>&, ArrowArrayStream* out) {
    *out = {&get_schema, &get_next, nullptr, &release_stream, &stream};
  };
  ctr::ParquetMetadata metadata{"m", {{"f", stream.root.array.length}}, {{0, ""}}, {{1, ""}}, {{2, "name"}}};
  try {
    ctr::ReadTask task = ctr::fuzz::make_task(spec);
    const auto sources = ctr::make_file_sources(task, {"f"}, [&](const std::string& path) {
      return ctr::open_parquet_file(task, metadata, path, true);
    });
    ctr::fuzz::drain(*sources.front(), task.layout);
  } catch (const ctr::Error&) {
  }
  return 0;
}
