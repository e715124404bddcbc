# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from harness.ops import Case, OpTests, as_printed, close, run


class TestLayerNorm(OpTests):
    type = "LayerNorm"
    cases = [
        Case((5, 7)),
        Case((6, 2), eps=1e-3),
        Case((1, 3), eps=1.0),
        Case((3, 2, 5)),
        Case((2, 3, 2, 9)),
        Case((301, 257)),
        Case((2, 5000)),
    ]

    @staticmethod
    def formula(x, w, eps=1e-5):
        deviation = x[0] - x[0].mean(-1, keepdims=True)
        return deviation / np.sqrt(x[0].var(-1, keepdims=True) + np.float32(eps)) * w[0][:, 0] + w[1][:, 0]

    def test_worked_numbers(self):
        """As a column of BatchNorm, lying down."""
        result = run("LayerNorm", [[[1, 2, 4]]], d_outputs=[[[1, 0, 0]]], eps=1e-5)
        as_printed(result["outputs"][0], [[-1.069042, -0.267260, 1.336302]])
        as_printed(result["d_inputs"][0], [[0.229083, -0.343620, 0.114538]])
        as_printed(result["d_weights"], [[[-1.069042], [0], [0]], [[1], [0], [0]]])

    def test_a_large_mean_does_not_hide_the_variance(self):
        x = 1000 + np.random.default_rng(0).standard_normal((3, 64))
        x = np.float32(x).astype(np.float64)
        close(run("LayerNorm", [x])["outputs"][0], self.formula([x], [np.ones((64, 1)), np.zeros((64, 1))]), 2e-4)

    def test_wrong_arguments(self):
        with pytest.raises(ValueError, match="eps must not be negative"):
            run("LayerNorm", [np.ones((2, 3))], eps=-1.0)
