# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from harness.ops import Case, OpTests, as_printed, normal, run


def labels(rng, shape):
    return rng.integers(-1, 2, shape)


class TestMultiCrossEntropyLoss(OpTests):
    type = "MultiCrossEntropyLoss"
    cases = [
        Case((5, 3), (5, 3)),
        Case((1, 1), (1, 1)),
        Case((5, 3), (5, 3), target_weight_vec=[1.0, 2.0, 0.5]),
        Case((501, 11), (501, 11)),
        Case((3, 300), (3, 300), target_weight_vec=[0.5, 1.0, 2.0] * 100),
    ]
    draw = (normal, labels)
    differentiable = 1
    is_loss = True

    @staticmethod
    def formula(x, w, target_weight_vec=()):
        logit, label = x
        p = 1 / (1 + np.exp(-logit))
        loss = -(label * np.log(p) + (1 - label) * np.log(1 - p)) * (
            np.array(target_weight_vec) if target_weight_vec else 1
        )
        return [np.array([loss[label >= 0].sum() / loss.size]), p]

    def test_worked_numbers(self):
        x = [[0.5, -2, 1], [0, 3, -1]], [[1, 0, -1], [-1, 1, 0]]
        result = run(self.type, x, target_weight_vec=[1, 2, 0.5])
        as_printed(result["outputs"][0], [0.163623])
        as_printed(result["d_inputs"][0], [[-0.062923, 0.039734, 0], [0, -0.015809, 0.022412]])

    def test_wrong_weights(self):
        with pytest.raises(ValueError, match=r"target_weight_vec has 2 entries for a prediction \[2, 3\]"):
            run(self.type, [np.ones((2, 3)), np.ones((2, 3))], target_weight_vec=[1, 2])
