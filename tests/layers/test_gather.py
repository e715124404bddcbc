# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from harness.ops import Case, OpTests, close, run


class TestGather(OpTests):
    type = "Gather"
    cases = [
        Case((5, 7), indices=[4, 0, 2]),
        Case((5, 7), indices=[1, 1, 3, 1]),
        Case((1, 1), indices=[0]),
        Case((4, 3, 2), indices=[3, 0, 0]),
        Case((301, 257), indices=[*range(300, -1, -3)]),
    ]

    @staticmethod
    def formula(x, w, indices):
        return x[0][indices]

    def test_rows_that_nobody_takes_have_no_gradient(self):
        result = run("Gather", [np.ones((3, 2))], d_outputs=[[[1, 2], [3, 4]]], indices=[2, 2])
        close(result["d_inputs"][0], [[0, 0], [0, 0], [4, 6]], 0)

    @pytest.mark.parametrize(
        "indices, message",
        [
            ([], "indices must name at least one row"),
            ([0, 3], r"index 3 is outside the 3 rows of \[3, 2\]"),
            ([-1], r"index -1 is outside the 3 rows of \[3, 2\]"),
        ],
    )
    def test_wrong_indices(self, indices, message):
        with pytest.raises(ValueError, match=message):
            run("Gather", [np.ones((3, 2))], indices=indices)
