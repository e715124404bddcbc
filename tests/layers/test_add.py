# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from harness.ops import Case, OpTests, run


class TestAdd(OpTests):
    type = "Add"
    cases = [
        Case((5, 7), (5, 7)),
        Case((1, 1), (1, 1), (1, 1)),
        Case(*[(2, 3, 4)] * 5),
        Case((301, 257), (301, 257), (301, 257)),
        Case(*[(3, 5)] * 70),
    ]

    @staticmethod
    def formula(x, w):
        return sum(x)

    def test_wrong_shapes(self):
        with pytest.raises(ValueError, match=r"one shape, got \[2, 3\] and \[3, 2\]"):
            run("Add", [np.ones((2, 3)), np.ones((3, 2))])
