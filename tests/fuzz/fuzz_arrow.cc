// SPDX-License-Identifier: Apache-2.0
// Record batches whose buffers are as long as their arrays say, and everything else is arbitrary.
#include <cstdlib>
#include <memory>
#include <vector>

#include "base/error.h"
#include "data/arrow_abi.h"
#include "data/parquet.h"
#include "reading.h"

namespace {

constexpr int kColumns = 3;  // a label, a dense column, a slot
const char* const kFormats[] = {"c",  "C", "s", "S", "i", "I",    "l",    "L",       "f",  "g",  "+l",
                                "+L", "e", "b", "u", "n", "+w:2", "+w:0", "+w:1000", "+s", "+w", ""};

struct Node {
  ArrowSchema schema{};
  ArrowArray array{};
  std::vector<std::unique_ptr<Node>> children;
  std::vector<ArrowSchema*> child_schemas;
  std::vector<ArrowArray*> child_arrays;
  std::vector<std::vector<uint8_t>> storage;
  std::vector<const void*> buffers;
};

// Buffers of exactly the size that the array's own length and offset ask for.
void add_buffers(FuzzedDataProvider& data, Node& node) {
  const auto elements = static_cast<size_t>(node.array.offset + node.array.length);
  const bool nulls = data.ConsumeIntegralInRange(0, 3) == 0;
  node.storage.push_back(std::vector<uint8_t>(nulls ? elements / 8 + 1 : 0, 0xff));
  if (nulls)
    node.storage.back()[data.ConsumeIntegralInRange<size_t>(0, elements / 8)] =
        data.ConsumeIntegral<uint8_t>();
  auto values = data.ConsumeBytes<uint8_t>((elements + 1) * 8);
  values.resize((elements + 1) * 8);
  if (data.ConsumeBool())  // ascending 32-bit list offsets
    for (size_t i = 0; i <= elements; ++i)
      reinterpret_cast<int32_t*>(values.data())[i] = static_cast<int32_t>(i);
  node.storage.push_back(std::move(values));
  for (const auto& buffer : node.storage) node.buffers.push_back(buffer.empty() ? nullptr : buffer.data());
  if (data.ConsumeIntegralInRange(0, 15) == 0) node.buffers[1] = nullptr;
  node.array.n_buffers = data.ConsumeIntegralInRange(0, 15) == 0 ? data.ConsumeIntegralInRange(0, 2) : 2;
  if (std::string_view(node.schema.format).starts_with("+w")) node.array.n_buffers = 1;
  node.array.buffers = node.buffers.data();
}

std::unique_ptr<Node> make_node(FuzzedDataProvider& data, int depth) {
  auto node = std::make_unique<Node>();
  node->schema.format = data.PickValueInArray(kFormats);
  node->schema.name = data.ConsumeBool() ? "name" : nullptr;
  node->array.length = data.ConsumeIntegralInRange(0, 20);
  node->array.offset = data.ConsumeIntegralInRange(0, 4);
  node->array.null_count = data.ConsumeIntegralInRange(-1, 2);
  add_buffers(data, *node);
  for (int i = depth < 2 ? data.ConsumeIntegralInRange(0, 2) : 0; i > 0; --i) {
    node->children.push_back(make_node(data, depth + 1));
    node->child_schemas.push_back(&node->children.back()->schema);
    node->child_arrays.push_back(&node->children.back()->array);
  }
  node->schema.n_children = node->array.n_children = static_cast<int64_t>(node->children.size());
  node->schema.children = node->child_schemas.data();
  node->array.children = node->child_arrays.data();
  if (data.ConsumeIntegralInRange(0, 31) == 0) {  // what no buffer can follow
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
  root.schema.format = "+s";
  for (int c = 0; c < kColumns; ++c) {
    root.children.push_back(make_node(data, 0));
    root.child_schemas.push_back(&root.children.back()->schema);
    root.child_arrays.push_back(&root.children.back()->array);
  }
  root.schema.n_children = kColumns;
  root.schema.children = root.child_schemas.data();
  root.array.n_children =
      data.ConsumeIntegralInRange(0, 15) == 0 ? data.ConsumeIntegralInRange(0, 3) : kColumns;
  root.array.children = root.child_arrays.data();
  root.array.length =
      data.ConsumeBool() ? data.ConsumeIntegralInRange(0, 16) : data.ConsumeIntegral<int64_t>();
  root.array.offset = data.ConsumeIntegralInRange(0, 7) ? 0 : data.ConsumeIntegral<int64_t>();
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
  spec.open_arrow = [&](const std::string&, const std::vector<int64_t>&, ArrowArrayStream* out) {
    *out = {&get_schema, &get_next, nullptr, &release_stream, &stream};
  };
  ctr::ParquetMetadata metadata{"m", {{"f", stream.root.array.length}}, {{0, ""}}, {{1, ""}}, {{2, "name"}}};
  try {
    ctr::ReadTask task;
    ctr::fuzz::prepare(task, spec);
    const auto sources = ctr::make_file_sources(
        task, {"f"}, [&](const std::string& path) { return ctr::open_parquet_file(task, metadata, path); });
    ctr::fuzz::drain(*sources.front(), task.layout);
  } catch (const ctr::Error&) {
  }
  return 0;
}
