# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from harness.ops import Case, OpTests, as_printed, bits, close, normal, run


class TestBinaryCrossEntropyLoss(OpTests):
    type = "BinaryCrossEntropyLoss"
    cases = [
        Case((5, 1), (5, 1)),
        Case((1, 1), (1, 1)),
        Case((9, 1), (6, 1)),
        Case((5, 1), (5, 1), loss_weight=0.25),
        Case((1001, 1), (1001, 1)),
    ]
    draw = (normal, bits)
    differentiable = 1
    is_loss = True

    @staticmethod
    def formula(x, w, loss_weight=1.0):
        label = x[1]
        p = 1 / (1 + np.exp(-x[0][: len(label)]))
        return [-loss_weight * (label * np.log(p) + (1 - label) * np.log(1 - p)).mean(keepdims=True)[0], p]

    def test_worked_numbers(self):
        result = run(self.type, [[[0.5], [-2]], [[1], [0]]])
        as_printed(result["outputs"][0], [0.300502])
        as_printed(result["d_inputs"][0], [[-0.188770], [0.059601]])

    def test_only_valid_rows_count_and_gradients_scale(self):
        x, label = [[0.5], [-2], [7]], [[1], [0], [1]]
        result = run(self.type, [x, label], options={"rows": 2, "global_rows": 8, "loss_scale": 128.0})
        as_printed(result["outputs"][0], [0.300502])
        slopes = np.array([[1 / (1 + np.exp(-0.5)) - 1], [1 / (1 + np.exp(2))], [0]])
        as_printed(result["d_inputs"][0], slopes * 128 / 8)

    def test_large_logits_stay_finite(self):
        result = run(self.type, [[[200.0], [-200.0]], [[0], [0]]])
        close(result["outputs"][0], [100], 1e-6)
        close(result["outputs"][1], [[1], [0]], 1e-6)

    def test_wrong_shapes(self):
        with pytest.raises(ValueError, match=r"prediction must be \[batch, 1\], got \[2, 3\]"):
            run(self.type, [np.ones((2, 3)), np.ones((2, 3))])
        with pytest.raises(ValueError, match=r"got \[2, 1\] and \[3, 1\]"):
            run(self.type, [np.ones((2, 1)), np.ones((3, 1))])
