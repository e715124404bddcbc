# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from harness.ops import Case, OpTests, run


class TestInnerProduct(OpTests):
    type = "InnerProduct"
    uses_gemm = True
    cases = [
        *(Case((5, 7), num_output=n) for n in (1, 2, 4, 6)),
        Case((1, 1), num_output=1),
        *(Case((9, 7), (9, 4), num_output=n) for n in (1, 5)),
        Case((1, 130), num_output=33),
        Case((65, 1), num_output=5),
        Case((3, 4, 6), num_output=9),
        Case((515, 13), num_output=70),
        Case((401, 1030), num_output=3),
        Case((70, 65), num_output=131),
        Case((257, 129), num_output=401),
    ]

    @staticmethod
    def formula(x, w, num_output):
        return np.concatenate(x, -1) @ w[0] + w[1]

    def test_wrong_arguments(self):
        with pytest.raises(ValueError, match="num_output must be positive, got 0"):
            run("InnerProduct", [np.ones((2, 3))], num_output=0)
        with pytest.raises(ValueError, match=r"at least two dimensions, got \[3\]"):
            run("InnerProduct", [np.ones(3)])
        with pytest.raises(ValueError, match=r"must have the same rows, got \[2, 3\] and \[3, 3\]"):
            run("InnerProduct", [np.ones((2, 3)), np.ones((3, 3))])
