# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from harness.ops import Case, OpTests, close, run


class TestFusedReshapeConcat(OpTests):
    type = "FusedReshapeConcat"
    cases = [
        Case((5, 3, 7), (5, 3, 1)),
        Case((1, 2, 1)),
        Case((4, 11, 18), (4, 11, 18), (4, 11, 5)),
        Case((3, 2, 8), (3, 2, 16)),
        Case((301, 7, 13), (301, 7, 64)),
    ]

    @staticmethod
    def formula(x, w):
        y = np.concatenate(x, 2)
        return [y[:, :-1].reshape(-1, y.shape[2]), y[:, -1]]

    def test_worked_numbers(self):
        b, s = np.indices((2, 3))
        x = [(3 * b + s)[..., None], np.stack([100 + 6 * b + 2 * s, 101 + 6 * b + 2 * s], -1)]
        history, last = run("FusedReshapeConcat", x)["outputs"]
        close(history, [[0, 100, 101], [1, 102, 103], [3, 106, 107], [4, 108, 109]], 0)
        close(last, [[2, 104, 105], [5, 110, 111]], 0)

    @pytest.mark.parametrize(
        "shapes, message",
        [
            ([(4, 3)], r"must be \[batch, slots, width\], got \[4, 3\]"),
            ([(4, 3, 2), (4, 2, 2)], r"one batch and number of slots, got \[4, 3, 2\] and \[4, 2, 2\]"),
            ([(4, 1, 2)], r"two slots at least, a history and the last, got \[4, 1, 2\]"),
        ],
    )
    def test_wrong_shapes(self, shapes, message):
        with pytest.raises(ValueError, match=message):
            run("FusedReshapeConcat", [np.ones(shape) for shape in shapes])
