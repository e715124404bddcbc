# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from harness.ops import Case, OpTests, close, run


class TestScale(OpTests):
    type = "Scale"
    cases = [
        Case((5, 7), factor=3),
        Case((5, 7), axis=0, factor=3),
        Case((1, 1), axis=0, factor=10),
        Case((1, 3), factor=1),
        Case((4, 36), factor=10),
        Case((6, 5), axis=0, factor=2.9),
        Case((301, 64), axis=0, factor=33),
        Case((301, 65), factor=65),
    ]

    @staticmethod
    def formula(x, w, axis=1, factor=1.0):
        return np.repeat(x[0], int(factor), axis=1 - axis)

    def test_worked_numbers(self):
        x, g = [[1, 2], [3, 4]], [[1, 10, 100, 1000], [2, 20, 200, 2000]]
        elements = run("Scale", [x], d_outputs=[g], axis=0, factor=2)
        close(elements["outputs"][0], [[1, 1, 2, 2], [3, 3, 4, 4]], 0)
        close(elements["d_inputs"][0], [[11, 1100], [22, 2200]], 0)
        rows = run("Scale", [x], d_outputs=[np.reshape(g, (4, 2))], axis=1, factor=2)
        close(rows["outputs"][0], [[1, 2], [1, 2], [3, 4], [3, 4]], 0)
        close(rows["d_inputs"][0], [[101, 1010], [202, 2020]], 0)

    @pytest.mark.parametrize(
        "params, message",
        [
            ({"factor": 0.5}, "factor must be a number of repetitions, at least 1, got 0.5"),
            ({"axis": 2, "factor": 2}, "axis must be 0 or 1, got 2"),
        ],
    )
    def test_wrong_arguments(self, params, message):
        with pytest.raises(ValueError, match=message):
            run("Scale", [np.ones((3, 2))], **params)
