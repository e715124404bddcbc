// SPDX-License-Identifier: Apache-2.0
#include "model/liveness.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "model/formats/spec_json.h"

namespace ctr {
namespace {

TEST(Pack, NoTwoThatLiveTogetherMeet) {
  std::mt19937 random(1);
  const auto below = [&](int64_t n) { return std::uniform_int_distribution<int64_t>(0, n - 1)(random); };
  for (int round = 0; round < 50; ++round) {
    std::vector<Lifetime> blocks;
    for (int i = 0; i < 40; ++i) {
      const int64_t first = below(30);
      blocks.push_back({static_cast<size_t>(below(2000)), first, first + below(6)});
    }
    const Packing packing = pack(blocks);
    size_t needed = 0;  // at the busiest moment
    for (int64_t moment = 0; moment < 40; ++moment) {
      size_t bytes = 0;
      for (const Lifetime& b : blocks)
        if (b.first <= moment && moment <= b.last) bytes += b.bytes;
      needed = std::max(needed, bytes);
    }
    EXPECT_GE(packing.bytes, needed);
    EXPECT_LE(packing.bytes, 2 * needed + 64 * blocks.size());
    for (size_t a = 0; a < blocks.size(); ++a) {
      EXPECT_EQ(packing.offsets[a] % 64, 0u);
      EXPECT_LE(packing.offsets[a] + blocks[a].bytes, packing.bytes);
      for (size_t b = 0; b < a; ++b) {
        const bool together = blocks[a].first <= blocks[b].last && blocks[b].first <= blocks[a].last;
        const bool apart = packing.offsets[a] + blocks[a].bytes <= packing.offsets[b] ||
                           packing.offsets[b] + blocks[b].bytes <= packing.offsets[a];
        EXPECT_TRUE(apart || !together) << a << " " << b;
      }
    }
  }
}

TEST(Pack, ReusesAChainOfTwo) {
  const Packing packing = pack({{640, 0, 1}, {640, 1, 2}, {640, 2, 3}, {640, 3, 4}});
  EXPECT_EQ(packing.bytes, 1280u);
}

// A tower that is read last runs aside, past the layers of the other one.
ModelSpec two_towers() {
  return spec_from_json(R"({
    "input": {"labels": [{"name": "label"}], "dense_name": "dense", "dense_dim": 16, "sparse": []},
    "layers": [
      {"type": "InnerProduct", "bottoms": ["dense"], "tops": ["a1"], "params": {"num_output": 32}},
      {"type": "BatchNorm", "bottoms": ["a1"], "tops": ["a2"]},
      {"type": "InnerProduct", "bottoms": ["a2"], "tops": ["aside"], "params": {"num_output": 32}},
      {"type": "InnerProduct", "bottoms": ["a2"], "tops": ["b1"], "params": {"num_output": 64}},
      {"type": "Dropout", "bottoms": ["b1"], "tops": ["b2"], "params": {"dropout_rate": 0.5}},
      {"type": "InnerProduct", "bottoms": ["b2"], "tops": ["b3"], "params": {"num_output": 64}},
      {"type": "InnerProduct", "bottoms": ["b3"], "tops": ["b4"], "params": {"num_output": 32}},
      {"type": "Add", "bottoms": ["aside", "b4"], "tops": ["sum"]},
      {"type": "InnerProduct", "bottoms": ["sum"], "tops": ["fc"], "params": {"num_output": 1}},
      {"type": "BinaryCrossEntropyLoss", "bottoms": ["fc", "label"], "tops": ["loss"]}]})");
}

bool overlap(const Tensor& a, const Tensor& b) {
  const auto* x = static_cast<const std::byte*>(a.raw());
  const auto* y = static_cast<const std::byte*>(b.raw());
  return x < y + b.bytes() && y < x + a.bytes();
}

TEST(Liveness, WhatANodeAsideTouchesStaysUntilItIsJoined) {
  const Graph graph = build_graph(two_towers(), 8);
  Plan plan = make_plan(graph, {.training = false});
  plan.memory.allocate({});
  const auto tensor = [&](int v) { return plan.memory[plan.value_places[static_cast<size_t>(v)].handle]; };
  const int aside = graph.by_name.at("aside"), a2 = graph.by_name.at("a2");
  const auto is_aside = [&](const NodePlan& n) { return n.aside; };
  ASSERT_EQ(std::count_if(plan.nodes.begin(), plan.nodes.end(), is_aside), 1);
  ASSERT_TRUE(plan.nodes[2].aside);
  ASSERT_TRUE(plan.nodes[7].joins_forward);
  for (const char* name : {"b1", "b2", "b3", "b4"}) {
    EXPECT_FALSE(overlap(tensor(graph.by_name.at(name)), tensor(aside))) << name;
    EXPECT_FALSE(overlap(tensor(graph.by_name.at(name)), tensor(a2))) << name;
  }
  EXPECT_TRUE(overlap(tensor(graph.by_name.at("b1")), tensor(graph.by_name.at("b3"))));
  for (size_t i = 0; i < graph.nodes.size(); ++i)  // buffers live while their node runs
    for (const int handle : plan.nodes[i].saved)
      for (const auto* values : {&graph.nodes[i].inputs, &graph.nodes[i].outputs})
        for (const int v : *values) EXPECT_FALSE(overlap(plan.memory[handle], tensor(v)));
}

TEST(Liveness, TrainingKeepsEverything) {
  const Graph graph = build_graph(two_towers(), 8);
  Plan training = make_plan(graph, {}), forward = make_plan(graph, {.training = false});
  training.memory.allocate({});
  for (size_t a = 0; a < graph.values.size(); ++a)
    for (size_t b = 0; b < a; ++b)
      EXPECT_FALSE(overlap(training.memory[training.value_places[a].handle],
                           training.memory[training.value_places[b].handle]));
  EXPECT_LT(forward.memory.bytes(), training.memory.bytes() * 6 / 10);
  EXPECT_EQ(forward.gradients.bytes(), 0u);
}

}  // namespace
}  // namespace ctr
