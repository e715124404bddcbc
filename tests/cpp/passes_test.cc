// SPDX-License-Identifier: Apache-2.0
#include "model/passes.h"

#include <gtest/gtest.h>

#include "model/formats/spec_json.h"
#include "model/graph.h"
#include "model/weights.h"

namespace ctr {
namespace {

ModelSpec model(const std::string& second_user) {
  return spec_from_json(R"({
    "input": {"labels": [{"name": "label"}], "dense_name": "dense", "dense_dim": 3, "sparse": []},
    "layers": [
      {"type": "InnerProduct", "bottoms": ["dense"], "tops": ["fc1"], "params": {"num_output": 4}},
      {"type": "ReLU", "bottoms": ["fc1"], "tops": ["relu1"]},)" +
                        second_user + R"(
      {"type": "InnerProduct", "bottoms": ["relu1"], "tops": ["fc2"], "params": {"num_output": 1}},
      {"type": "BinaryCrossEntropyLoss", "bottoms": ["fc2", "label"], "tops": ["loss"]}]})");
}

TEST(Fuse, InnerProductAndReluBecomeOneLayerWithTheSameWeights) {
  const ModelSpec plain = model("");
  const ModelSpec fused = fuse(plain);
  ASSERT_EQ(fused.layers.size(), plain.layers.size() - 1);
  EXPECT_EQ(fused.layers[0].type, "FusedInnerProduct");
  EXPECT_EQ(fused.layers[0].tops, std::vector<std::string>{"relu1"});

  Context ctx;
  ctx.seed = 7;
  const Weights a(ctx, build_graph(plain, 2), DType::f32), b(ctx, build_graph(fused, 2), DType::f32);
  ASSERT_EQ(a.count(), b.count());
  EXPECT_EQ(a.packed(ctx), b.packed(ctx));
}

TEST(Fuse, ASecondReaderOfTheProductKeepsItApart) {
  const ModelSpec plain = model(R"({"type": "Sigmoid", "bottoms": ["fc1"], "tops": ["sigmoid"]},)");
  EXPECT_EQ(fuse(plain).layers.size(), plain.layers.size());
}

TEST(Fuse, AProductWithOneColumnReadsThePartsOfAConcat) {
  const auto model = [](int width) {
    return spec_from_json(fmt::format(R"({{
      "input": {{"labels": [{{"name": "label"}}], "dense_name": "dense", "dense_dim": 3, "sparse": []}},
      "layers": [
        {{"type": "InnerProduct", "bottoms": ["dense"], "tops": ["fc1"], "params": {{"num_output": 4}}}},
        {{"type": "Concat", "bottoms": ["fc1", "dense"], "tops": ["joined"]}},
        {{"type": "InnerProduct", "bottoms": ["joined"], "tops": ["fc2"], "params": {{"num_output": {}}}}},
        {{"type": "ReduceSum", "bottoms": ["fc2"], "tops": ["logit"], "params": {{"axis": 1}}}},
        {{"type": "BinaryCrossEntropyLoss", "bottoms": ["logit", "label"], "tops": ["loss"]}}]}})",
                                      width));
  };
  const ModelSpec fused = fuse(model(1));
  ASSERT_EQ(fused.layers.size(), 4u);
  EXPECT_EQ(fused.layers[1].bottoms, (std::vector<std::string>{"fc1", "dense"}));
  EXPECT_EQ(build_graph(fused, 2).nodes[1].shapes.weights[0].shape, (Shape{7, 1}));
  EXPECT_EQ(fuse(model(2)).layers.size(), 5u);
}

TEST(Fuse, AProductOfPartsKeepsItsRelu) {
  const ModelSpec fused = fuse(spec_from_json(R"({
    "input": {"labels": [{"name": "label"}], "dense_name": "dense", "dense_dim": 3, "sparse": []},
    "layers": [
      {"type": "InnerProduct", "bottoms": ["dense"], "tops": ["fc1"], "params": {"num_output": 4}},
      {"type": "Concat", "bottoms": ["fc1", "dense"], "tops": ["joined"]},
      {"type": "InnerProduct", "bottoms": ["joined"], "tops": ["fc2"], "params": {"num_output": 1}},
      {"type": "ReLU", "bottoms": ["fc2"], "tops": ["logit"]},
      {"type": "BinaryCrossEntropyLoss", "bottoms": ["logit", "label"], "tops": ["loss"]}]})"));
  ASSERT_EQ(fused.layers.size(), 4u);
  EXPECT_EQ(fused.layers[1].type, "InnerProduct");
  EXPECT_EQ(fused.layers[2].type, "ReLU");
  EXPECT_EQ(build_graph(fused, 2).nodes[1].inputs.size(), 2u);
}

}  // namespace
}  // namespace ctr
