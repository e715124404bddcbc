# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from harness.ops import Case, OpTests, run


class TestFusedReshapeConcatGeneral(OpTests):
    type = "FusedReshapeConcatGeneral"
    cases = [
        Case((5, 3, 7), (5, 3, 1)),
        Case((1, 1, 1), (1, 1, 1)),
        Case((4, 3, 5)),
        Case((4, 11, 18), (4, 11, 18), (4, 11, 5)),
        Case((301, 7, 13), (301, 7, 64)),
    ]

    @staticmethod
    def formula(x, w):
        y = np.concatenate(x, 2)
        return y.reshape(-1, y.shape[2])

    def test_wrong_shapes(self):
        with pytest.raises(ValueError, match=r"one batch and number of slots, got \[4, 3, 2\] and \[3, 3, 2\]"):
            run("FusedReshapeConcatGeneral", [np.ones((4, 3, 2)), np.ones((3, 3, 2))])
