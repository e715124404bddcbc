# SPDX-License-Identifier: Apache-2.0
"""What the layers that reduce one axis have in common."""

import numpy as np
import pytest
from harness.ops import Case, OpTests, run


class ReductionTests(OpTests):
    cases = [
        *(Case((5, 7), axis=axis) for axis in (0, 1)),
        *(Case((3, 4, 5), axis=axis) for axis in (0, 1, 2)),
        Case((6,), axis=0),
        Case((1, 1)),
        *(Case((301, 257), axis=axis) for axis in (0, 1)),
        Case((99, 26, 16)),
    ]

    def test_wrong_axis(self):
        with pytest.raises(ValueError, match=r"axis 2 is outside the dimensions of \[2, 3\]"):
            run(self.type, [np.ones((2, 3))], axis=2)
