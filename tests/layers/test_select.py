# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from harness.ops import Case, OpTests, run


class TestSelect(OpTests):
    type = "Select"
    cases = [
        Case((5, 7), dim=1, index=[3]),
        Case((5, 7), dim=1, index=[6, 0, 1, 2, 0]),
        Case((1, 3, 5), dim=1, index=[2, 1]),
        Case((4, 3, 5), dim=2, index=[4, 4, 0]),
        Case((2, 3, 5, 3), dim=2, index=[0, 1, 2, 3, 4]),
        Case((301, 17, 9), dim=1, index=[16, 3, 4]),
    ]

    @staticmethod
    def formula(x, w, dim, index):
        return np.take(x[0], index, axis=dim)

    @pytest.mark.parametrize(
        ("params", "message"),
        [
            ({"dim": 0, "index": [0]}, "dim must be at least 1 .*, got 0"),
            ({"dim": 2, "index": [0]}, r"dim 2 is outside the dimensions of \[2, 3\]"),
            ({"dim": 1}, "index must name at least one slice"),
            ({"dim": 1, "index": [1, 3]}, r"index 3 is outside the 3 slices of \[2, 3\] along dim 1"),
            ({"dim": 1, "index": [-1]}, "index -1 is outside"),
        ],
    )
    def test_wrong_arguments(self, params, message):
        with pytest.raises(ValueError, match=message):
            run("Select", [np.ones((2, 3))], **params)
