# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from harness.ops import Case, OpTests, close, run


class TestInteraction(OpTests):
    type = "Interaction"
    cases = [
        Case((5, 7), (5, 3, 7)),
        Case((1, 1), (1, 1, 1)),
        Case((3, 16), (3, 6, 16)),
        Case((2, 131), (2, 40, 131)),
        Case((65, 128), (65, 26, 128)),
        Case((2, 144), (2, 31, 144)),
    ]

    @staticmethod
    def formula(x, w):
        z = np.concatenate([x[0][:, None], x[1]], 1)
        i, j = np.tril_indices(z.shape[1], -1)
        return np.concatenate([x[0], (z @ z.transpose(0, 2, 1))[:, i, j], np.zeros((len(z), 1))], 1)

    def test_worked_numbers(self):
        x = [[1, 2]], [[[3, -1], [0.5, 4]]]
        result = run("Interaction", x, d_outputs=[[[0.1, 0.2, 0.3, 0.4, 0.5, 9]]])
        close(result["outputs"][0], [[1, 2, 1, 8.5, -2.5, 0]], 1e-6)
        close(result["d_inputs"][0], [[1.2, 1.5]], 1e-6)
        close(result["d_inputs"][1], [[[0.55, 2.6], [1.9, 0.3]]], 1e-6)

    def test_wrong_shapes(self):
        with pytest.raises(ValueError, match=r"got \[2, 3\] and \[2, 5, 4\]"):
            run("Interaction", [np.ones((2, 3)), np.ones((2, 5, 4))])
