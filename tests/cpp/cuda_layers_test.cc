// SPDX-License-Identifier: Apache-2.0
// Layers and primitives on a GPU against the same on the CPU.
#include <nlohmann/json.hpp>

#include "kernels/gemm.h"
#include "kernels/reduce.h"
#include "layers/layer.h"
#include "on_device.h"
#include "optim/dense_update.h"

namespace ctr {
namespace {

struct LayerCase {
  std::string type;
  Json params;
  std::vector<Shape> inputs;
  int64_t valid = -1;   // samples of the batch; all of them where negative
  int64_t samples = 0;  // 0: one a row
  int64_t gap = 0;      // between the rows of tensors that the layer takes apart
};

Tensor make_rows(OnDevice& d, const LayerCase& c, Strided kind, const Shape& shape,
                 const std::vector<float>& values) {
  const int64_t run = kind == Strided::samples ? shape.numel() / shape[0] : shape.last();
  if (c.gap == 0 || kind == Strided::no || run == shape.numel()) return d.make(shape, values);
  return d.make_apart(shape, values, run, c.gap);
}

// Everything a layer computes in one training step, and then in evaluation.
std::vector<std::pair<std::string, std::vector<float>>> run_layer(Backend backend, const LayerCase& c) {
  OnDevice d(backend);
  const LayerDef& def = find_layer(c.type);
  const auto layer = def.create(params_from_keywords(def.params, c.params, c.type));
  const std::vector<ValueType> types(c.inputs.size(), ValueType::compute);
  const LayerShapes shapes = layer->infer({c.inputs, types, backend});
  if (shapes.is_view) return {};
  if (c.valid >= 0) d.set_step({.global_rows = c.valid, .rows = c.valid, .batch = c.inputs[0][0]});
  uint32_t seed = 1;
  std::vector<Tensor> x, y, w, state, saved, scratch, constants, d_x, d_y, d_w;
  for (const Shape& s : c.inputs) {
    std::vector<float> values = normal(s.numel(), seed++);
    if (def.is_loss && x.size() == 1)
      for (float& v : values) v = v > 0 ? 1.0f : 0.0f;
    const Strided kind = shapes.moves.empty() ? shapes.strided_inputs : Strided::rows;
    x.push_back(make_rows(d, c, kind, s, values));
    d_x.push_back(make_rows(d, c, kind, s, std::vector<float>(static_cast<size_t>(s.numel()), 1.0f)));
  }
  for (const OutputDef& output : shapes.outputs) {
    const Shape& s = output.shape;
    const Strided kind = shapes.moves.empty() ? shapes.strided_outputs : Strided::samples;
    y.push_back(make_rows(d, c, kind, s, std::vector<float>(static_cast<size_t>(s.numel()), NAN)));
    d_y.push_back(make_rows(d, c, kind, s, normal(s.numel(), seed++)));
  }
  for (const auto& c : shapes.constants) {
    constants.push_back(d.make(c.shape, c.dtype));
    copy_to_device(d.ctx, constants.back(), c.bytes.data());
  }
  for (const auto& def : shapes.weights) {
    w.push_back(d.make(def.shape, normal(def.shape.numel(), seed++)));
    d_w.push_back(d.make(def.shape, std::vector<float>(static_cast<size_t>(def.shape.numel()), NAN)));
  }
  for (const auto& def : shapes.states)
    state.push_back(
        d.make(def.shape, std::vector<float>(static_cast<size_t>(def.shape.numel()), def.initial)));
  for (const auto& b : shapes.saved) saved.push_back(d.make(b.shape, b.dtype));
  for (const auto& b : shapes.scratch) scratch.push_back(d.make(b.shape, b.dtype));
  std::vector<GradMode> modes(x.size(), GradMode::overwrite);
  modes[0] = GradMode::accumulate;
  if (def.is_loss) modes[1] = GradMode::skip;
  LayerRun run;
  run.x = x, run.y = y, run.w = w, run.state = state, run.saved = saved, run.scratch = scratch;
  run.constants = constants;
  run.moves = shapes.moves, run.move_rows = shapes.move_rows;
  run.name = "layer";
  run.samples = c.samples ? c.samples : x[0].shape()[0];
  run.training = true;
  layer->forward(d.ctx, run);
  std::vector<std::pair<std::string, std::vector<float>>> results;
  const auto keep = [&](const std::string& name, const std::vector<Tensor>& tensors) {
    for (size_t i = 0; i < tensors.size(); ++i)
      results.emplace_back(name + std::to_string(i), d.values_of(tensors[i]));
  };
  keep("y", y);
  run.d_x = d_x, run.d_y = d_y, run.d_w = d_w, run.d_x_mode = modes;
  run_backward(*layer, d.ctx, run);
  keep("d_x", d_x), keep("d_w", d_w), keep("state", state);
  run.training = false;
  layer->forward(d.ctx, run);
  keep("evaluation y", y);
  return results;
}

class CudaLayerTest : public testing::TestWithParam<LayerCase> {};

TEST_P(CudaLayerTest, ComputesWhatTheCpuComputes) {
  const auto expected = run_layer(Backend::cpu, GetParam()), actual = run_layer(Backend::cuda, GetParam());
  const auto again = run_layer(Backend::cuda, GetParam());
  ASSERT_EQ(actual.size(), expected.size());
  for (size_t i = 0; i < expected.size(); ++i) {
    expect_close(actual[i].second, expected[i].second, 2e-5f, expected[i].first);
    EXPECT_EQ(actual[i].second, again[i].second) << expected[i].first << " differs from run to run";
  }
}

const LayerCase kCases[] = {
    {"Add", {}, {{5, 7}, {5, 7}, {5, 7}}},
    {"Add", {}, std::vector<Shape>(70, Shape{5, 7})},
    {"BatchNorm", {{"factor", 0.25}}, {{300, 37}}},
    {"BatchNorm", {{"factor", 0.25}}, {{300, 37}}, 119},
    {"BatchNorm", {{"factor", 0.25}}, {{300, 37}}, 1},
    {"BatchNorm", {{"factor", 0.25}}, {{300, 37}}, 0},
    {"BinaryCrossEntropyLoss", {}, {{64, 1}, {64, 1}}},
    {"Concat", {}, {{9, 8}, {9, 4}, {9, 12}}},
    {"Concat", {}, {{9, 5}, {9, 3}}},
    {"CrossEntropyLoss", {}, {{64, 2}, {64, 1}}},
    {"Dropout", {{"dropout_rate", 0.3}}, {{33, 100}}},
    {"Dropout", {{"dropout_rate", 0.5}}, {{64, 64}}},
    {"Dropout", {{"dropout_rate", 0.5}}, {{60, 30}}, -1, 12},  // five rows a sample
    {"Dropout", {{"dropout_rate", 0.5}}, {{6, 300}}, -1, 12},  // two samples a row
    {"ELU", {{"elu_alpha", 0.7}}, {{6, 11}}},
    {"ElementwiseMultiply", {}, {{5, 8}, {5, 8}, {5, 8}}},
    {"ElementwiseMultiply", {}, std::vector<Shape>(40, Shape{5, 8})},
    {"FmOrder2", {{"out_dim", 10}}, {{21, 260}}},
    {"FusedInnerProduct", {{"num_output", 24}}, {{40, 16}}},
    {"FusedReshapeConcat", {}, {{9, 11, 18}, {9, 11, 5}}},
    {"FusedReshapeConcat", {}, {{6, 4, 8}, {6, 4, 16}}},
    {"FusedReshapeConcatGeneral", {}, {{9, 11, 18}, {9, 11, 5}}},
    {"GRU", {{"num_output", 6}, {"SeqLength", 5}, {"vector_size", 3}}, {{35, 3}}},
    {"GRU", {{"num_output", 33}, {"SeqLength", 4}, {"vector_size", 8}}, {{19, 4, 8}}},
    {"Gather", {{"indices", {2, 0, 2, 8, 2}}}, {{9, 12}}},
    {"Gather", {{"indices", {1, 0}}}, {{2, 3, 4}}},
    {"InnerProduct", {{"num_output", 32}}, {{64, 48}}},
    {"InnerProduct", {{"num_output", 1}}, {{130, 13}}},
    {"InnerProduct", {{"num_output", 7}}, {{3, 5, 13}}},
    {"Interaction", {}, {{17, 16}, {17, 26, 16}}},
    {"Interaction", {}, {{5, 128}, {5, 26, 128}}},
    {"Interaction", {}, {{5, 7}, {5, 3, 7}}},
    {"LayerNorm", {}, {{300, 37}}},
    {"LayerNorm", {{"eps", 1e-3}}, {{5, 3, 64}}},
    {"LayerNorm", {}, {{3, 5000}}},
    {"MLP", {{"num_outputs", {32, 7, 16}}, {"activations", {"Relu", "None", "Relu"}}}, {{130, 13}}},
    {"MLP", {{"num_outputs", {5, 3}}, {"biases", {false, true}}, {"act_type", "None"}}, {{6, 2, 9}}},
    {"MatrixMultiply", {}, {{70, 33}, {33, 9}}},
    {"MatrixMultiply", {}, {{40, 1, 10}, {40, 10, 36}}},
    {"MatrixMultiply", {}, {{3, 70, 65}, {3, 65, 131}}},
    {"MatrixMultiply", {}, {{2, 3, 5, 8}, {2, 3, 8, 4}}},
    {"MatrixMultiply", {}, {{6, 5}, {5, 3, 4}}},
    {"MultiCross", {{"num_layers", 6}}, {{70, 53}}},
    {"MultiCross", {{"num_layers", 3}, {"projection_dim", 8}}, {{70, 53}}},
    {"MultiCross", {{"num_layers", 9}}, {{1000, 429}}},
    {"MultiCross", {{"num_layers", 33}}, {{70, 53}}},
    {"MultiCrossEntropyLoss", {{"target_weight_vec", {0.5, 2.0, 1.0}}}, {{64, 3}, {64, 3}}},
    {"MultiHeadAttention", {{"num_attention_heads", 2}}, {{9, 3, 8}, {9, 7, 8}, {9, 7, 8}}},
    {"MultiHeadAttention", {}, {{2, 65, 36}, {2, 70, 36}, {2, 70, 36}, {2, 1, 65, 70}}},
    {"MultiHeadAttention", {}, {{2, 3, 4, 8}, {2, 3, 5, 8}}},
    {"PReLU_Dice", {{"elu_alpha", 0.2}}, {{300, 37}}},
    {"PReLU_Dice", {{"elu_alpha", 0.2}, {"eps", 1e-3}}, {{300, 64}}, 119},
    {"PReLU_Dice", {{"elu_alpha", 0.2}}, {{300, 37}}, 0},
    {"ReLU", {}, {{7, 33}}},
    {"ReduceMean", {{"axis", 1}}, {{6, 5, 4}}},
    {"ReduceSum", {{"axis", 1}}, {{100, 26}}},
    {"ReduceSum", {{"axis", 0}}, {{1000, 70}}},
    {"Reshape", {{"selected", true}, {"selected_slots", {2, 0}}}, {{4, 3, 5}}},
    {"Scale", {{"factor", 10}}, {{40, 36}}},
    {"Scale", {{"axis", 0}, {"factor", 3}}, {{40, 7}}},
    {"Select", {{"dim", 1}, {"index", {3, 0, 1, 3}}}, {{6, 5, 4}}},
    {"Select", {{"dim", 2}, {"index", {1}}}, {{6, 5, 4}}},
    {"SequenceMask", {{"max_sequence_len_from", 3}, {"max_sequence_len_to", 5}}, {{9, 1}, {9, 1}}},
    {"Sigmoid", {}, {{7, 33}}},
    {"Slice", {{"ranges", {{0, 4}, {2, 9}}}}, {{6, 10}}},
    {"Softmax", {}, {{40, 10}}},
    {"Softmax", {}, {{9, 3, 100}}},
    {"Softmax", {}, {{33, 1024}}},
    {"Softmax", {}, {{5, 5001}}},
    {"Softmax", {{"factor", 0.5}}, {{9, 3, 4, 10}, {9, 1, 4, 10}}},
    {"Softmax", {}, {{2, 2, 2, 1500}, {2, 1, 2, 1500}}},
    {"Sub", {}, {{5, 6}, {5, 6}}},
    {"WeightMultiply", {{"weight_dims", {13, 10}}}, {{40, 13}}},
};
INSTANTIATE_TEST_SUITE_P(Layers, CudaLayerTest, testing::ValuesIn(kCases),
                         [](const auto& info) { return info.param.type + std::to_string(info.index); });

// Rows apart: by gaps that keep wide accesses possible, and by others.
std::vector<LayerCase> cases_with_gaps() {
  std::vector<LayerCase> cases;
  for (const LayerCase& c : kCases)
    for (const int64_t gap : {8, 3}) {
      cases.push_back(c);
      cases.back().gap = gap;
    }
  return cases;
}
INSTANTIATE_TEST_SUITE_P(LayersWithGaps, CudaLayerTest, testing::ValuesIn(cases_with_gaps()),
                         [](const auto& info) { return info.param.type + std::to_string(info.index); });

std::vector<float> multiply(Backend backend, Shape a, Shape b, Shape c, GemmOptions options, bool bias,
                            bool tf32) {
  OnDevice d(backend);
  d.ctx.tf32 = tf32;
  const Tensor left = d.make(a, normal(a.numel(), 1)), right = d.make(b, normal(b.numel(), 2));
  const Tensor out = d.make(c, normal(c.numel(), 3));
  if (bias) options.bias = d.make({c.last()}, normal(c.last(), 4));
  gemm(d.ctx, left, right, out, options);
  return to_host(d.ctx, out);
}

TEST(CudaGemmTest, AgreesWithTheCpu) {
  for (const auto& [m, n, k] :
       {std::array<int64_t, 3>{64, 48, 32}, {127, 33, 65}, {1000, 1, 429}, {1, 17, 1000}, {5, 5, 4096}})
    for (const int flags : {0, 1, 2, 4, 8, 12, 16, 31}) {
      const GemmOptions o{.transpose_a = (flags & 1) != 0,
                          .transpose_b = (flags & 2) != 0,
                          .accumulate = (flags & 4) != 0,
                          .relu = (flags & 16) != 0};
      const Shape a = o.transpose_a ? Shape{k, m} : Shape{m, k},
                  b = o.transpose_b ? Shape{n, k} : Shape{k, n};
      const bool bias = (flags & 8) != 0;
      const auto expected = multiply(Backend::cpu, a, b, {m, n}, o, bias, false);
      const std::string what = fmt::format("{}x{}x{} flags {}", m, n, k, flags);
      expect_close(multiply(Backend::cuda, a, b, {m, n}, o, bias, false), expected, 2e-5f, what);
      expect_close(multiply(Backend::cuda, a, b, {m, n}, o, bias, true), expected, 3e-3f, what + " tf32");
    }
}

TEST(CudaBatchedGemmTest, AgreesWithTheCpu) {
  for (const auto& [m, n, k] :
       {std::array<int64_t, 3>{64, 48, 32}, {1, 36, 10}, {5, 3, 17}, {70, 65, 131}, {1, 1, 1}})
    for (int flags = 0; flags < 8; ++flags)
      for (const int64_t gap : {0, 3, 8}) {
        const BatchedGemmOptions o{(flags & 1) != 0, (flags & 2) != 0, (flags & 4) != 0};
        std::vector<float> results[2];
        for (const Backend backend : {Backend::cpu, Backend::cuda}) {
          OnDevice d(backend);
          const auto make = [&d, gap](int64_t rows, int64_t width, uint32_t seed) {
            const Shape shape{2, 3, rows, width};
            return d.make_apart(shape, normal(shape.numel(), seed), width, gap);
          };
          const Tensor a = o.transpose_a ? make(k, m, 1) : make(m, k, 1),
                       b = o.transpose_b ? make(n, k, 2) : make(k, n, 2), c = make(m, n, 3);
          batched_gemm(d.ctx, a, b, c, o);
          results[static_cast<int>(backend)] = d.values_of(c);
        }
        expect_close(results[1], results[0], 2e-5f,
                     fmt::format("{}x{}x{} flags {} gap {}", m, n, k, flags, gap));
      }
}

TEST(CudaDenseUpdateTest, AgreesWithTheCpu) {
  for (const auto type : {OptimizerType::adam, OptimizerType::adagrad, OptimizerType::momentum_sgd,
                          OptimizerType::nesterov, OptimizerType::sgd}) {
    std::vector<float> results[2];
    for (const Backend backend : {Backend::cpu, Backend::cuda}) {
      OnDevice d(backend);
      constexpr int64_t kCount = 10001;
      const int64_t states = state_count(type) * kCount;
      std::vector<float> positive = normal(states, 3);
      for (float& v : positive) v = std::fabs(v);
      const Tensor w = d.make({kCount}, normal(kCount, 1)), g = d.make({kCount}, normal(kCount, 2)),
                   s = d.make({states}, positive);
      dense_update(d.ctx, w, g, s, {.type = type, .momentum = 0.9}, {});
      auto& result = results[static_cast<int>(backend)];
      result = to_host(d.ctx, w);
      for (const float v : to_host(d.ctx, s)) result.push_back(v);
    }
    expect_close(results[1], results[0], 1e-6f, std::string(name_of(type)));
  }
}

}  // namespace
}  // namespace ctr
