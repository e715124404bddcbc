# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from harness.ops import Case, OpTests, run, same_bits


class TestMLP(OpTests):
    type = "MLP"
    uses_gemm = True
    roundings = 8  # outputs and gradients between the layers are stored, and weigh more than their sum
    cases = [
        Case((5, 7), num_outputs=[6]),
        Case((5, 7), num_outputs=[6, 3, 4], act_type="None"),
        Case((1, 1), num_outputs=[2, 1], use_bias=False, act_type="None"),
        Case((3, 2, 9), num_outputs=[8, 5], activations=["None", "Relu"], biases=[False, True]),
        Case((257, 129), num_outputs=[40, 33], activations=["Relu", "None"]),
    ]

    @staticmethod
    def formula(x, w, num_outputs, act_type="Relu", use_bias=True, activations=(), biases=()):
        y = x[0]
        for i in range(len(num_outputs)):
            y = y @ w[2 * i] + (w[2 * i + 1] if (biases[i] if biases else use_bias) else 0)
            if (activations[i] if activations else act_type) == "Relu":
                y = np.maximum(y, 0)
        return y

    def test_one_layer_is_a_fused_inner_product(self):
        x, g = np.random.default_rng(0).standard_normal((2, 9, 6))
        weights = np.random.default_rng(1).standard_normal((6, 6)), np.ones((1, 6))
        mlp = run("MLP", [x], weights=weights, d_outputs=[g], num_outputs=[6])
        same_bits(mlp, run("FusedInnerProduct", [x], weights=weights, d_outputs=[g], num_output=6))

    def test_a_bias_that_is_not_used_is_there_and_has_no_gradient(self):
        result = run("MLP", [np.ones((3, 4))], d_outputs=[np.ones((3, 2))], num_outputs=[2], use_bias=False)
        assert [w.shape for w in result["weights"]] == [(4, 2), (1, 2)]
        assert not result["d_weights"][1].any()

    @pytest.mark.parametrize(
        ("params", "message"),
        [
            ({}, "num_outputs must name at least one layer"),
            ({"num_outputs": [3, 0]}, "num_outputs must be positive numbers, got 0"),
            (
                {"num_outputs": [3, 2], "biases": [True]},
                "biases must have one entry for each of the 2 num_outputs, got 1",
            ),
            (
                {"num_outputs": [3], "activations": ["Relu"] * 2},
                "activations must have one entry .* 1 num_outputs, got 2",
            ),
        ],
    )
    def test_wrong_arguments(self, params, message):
        with pytest.raises(ValueError, match=message):
            run("MLP", [np.ones((2, 3))], **params)

    def test_an_unknown_activation(self):
        with pytest.raises(KeyError, match='unknown activations of MLP: "Tanh"'):
            run("MLP", [np.ones((2, 3))], num_outputs=[2], activations=["Tanh"])
