# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from harness.ops import Case, OpTests, run


class TestSlice(OpTests):
    type = "Slice"
    cases = [
        Case((5, 7), ranges=[(0, 3), (3, 7)]),
        Case((5, 9), ranges=[(2, 8)]),
        Case((5, 7), ranges=[(4, 6), (0, 5), (1, 2)]),
        Case((5, 7), ranges=[(0, 7), (0, 7)]),
        Case((1, 1), ranges=[(0, 1)]),
        Case((2, 3, 4), ranges=[(0, 1), (1, 4)]),
        Case((301, 257), ranges=[(0, 100), (100, 257)]),
        Case((5, 97), ranges=[(0, 10), (10, 11), (11, 14), (14, 19), (19, 37), (37, 97)]),
    ]

    @staticmethod
    def formula(x, w, ranges):
        return [x[0][..., begin:end] for begin, end in ranges]

    @pytest.mark.parametrize("ranges", [[], [(3, 3)], [(-1, 2)], [(0, 5)], [(5, 6)]])
    def test_wrong_ranges(self, ranges):
        with pytest.raises(ValueError, match="range"):
            run("Slice", [np.ones((2, 4))], ranges=ranges)
