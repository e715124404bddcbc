# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from harness.ops import Case, OpTests, as_printed, bits, close, normal, run


class TestCrossEntropyLoss(OpTests):
    type = "CrossEntropyLoss"
    cases = [
        Case((5, 2), (5, 1)),
        Case((5, 2), (5, 2)),
        Case((1, 2), (1, 1)),
        Case((7, 2), (5, 1), loss_weight=3.0),
        Case((1001, 2), (1001, 1)),
    ]
    draw = (normal, bits)
    differentiable = 1
    is_loss = True

    @staticmethod
    def formula(x, w, loss_weight=1.0):
        label = x[1][:, 0] >= 0.5 if x[1].shape[1] == 1 else x[1][:, 1] > x[1][:, 0]
        p = np.exp(x[0][: len(label)])
        p /= p.sum(1, keepdims=True)
        return [-loss_weight * np.log(p[np.arange(len(p)), label.astype(int)]).mean(keepdims=True), p]

    def test_worked_numbers(self):
        result = run(self.type, [[[0.2, 1], [2, -1]], [[1], [1]]])
        close(result["outputs"][0], [1.709844], 1e-6)
        as_printed(result["d_inputs"][0], [[0.155013, -0.155013], [0.476287, -0.476287]])

    def test_wrong_shapes(self):
        with pytest.raises(ValueError, match=r"prediction must be \[batch, 2\], got \[2, 1\]"):
            run(self.type, [np.ones((2, 1)), np.ones((2, 1))])
        with pytest.raises(ValueError, match=r"label must be \[batch, 1\] or \[batch, 2\], got \[2, 3\]"):
            run(self.type, [np.ones((2, 2)), np.ones((2, 3))])
