# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from harness.ops import Case, OpTests, close, run


class TestMultiCross(OpTests):
    type = "MultiCross"
    cases = [
        Case((5, 7), num_layers=1),
        Case((5, 7), num_layers=3),
        Case((1, 1), num_layers=2),
        Case((4, 33), num_layers=2),
        Case((301, 29), num_layers=2),
    ]

    @staticmethod
    def formula(x, w, num_layers):
        y = x[0]
        for i in range(num_layers):
            y = x[0] * (y @ w[2 * i].T) + y + w[2 * i + 1]
        return y

    def test_worked_numbers(self):
        weights = [[0.5, -1]], [[0.1, 0]], [[0.2, 0.1]], [[0, -0.3]]
        result = run("MultiCross", [[[1, 2]]], weights=weights, d_outputs=[[[1, 1]]], num_layers=2)
        close(result["outputs"][0], [[-0.58, -1.66]], 1e-6)
        close(result["d_inputs"][0], [[1.12, -5.03]], 1e-6)
        close(result["d_weights"], [[[4.2, 8.4]], [[1.6, 1.3]], [[-1.2, -3]], [[1, 1]]], 1e-6)

    def test_needs_layers(self):
        with pytest.raises(ValueError, match="num_layers must be positive, got 0"):
            run("MultiCross", [np.ones((2, 3))])
