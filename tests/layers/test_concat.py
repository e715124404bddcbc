# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from harness.ops import Case, OpTests, run


class TestConcat(OpTests):
    type = "Concat"
    cases = [
        Case((5, 7), (5, 1), (5, 3)),
        Case((1, 1), (1, 1)),
        Case((4, 3)),
        Case((3, 2, 5), (3, 4, 5)),
        Case((3, 2, 5), (3, 2, 1), axis=2),
        Case((301, 257), (301, 64)),
    ]

    @staticmethod
    def formula(x, w, axis=1):
        return np.concatenate(x, axis)

    def test_wrong_shapes(self):
        with pytest.raises(ValueError, match=r"may differ in axis 1 only, got \[2, 3\] and \[3, 3\]"):
            run("Concat", [np.ones((2, 3)), np.ones((3, 3))])
        for shape in ((2, 3), (2, 3, 4)):
            for axis in (0, 9):
                with pytest.raises(ValueError, match=f"axis must be between 1 and 2, got {axis}"):
                    run("Concat", [np.ones(shape)], axis=axis)
