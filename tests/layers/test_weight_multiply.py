# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from harness.ops import Case, OpTests, close, run


class TestWeightMultiply(OpTests):
    type = "WeightMultiply"
    cases = [
        Case((5, 7), weight_dims=[7, 3]),
        Case((1, 1), weight_dims=[1, 1]),
        Case((6, 2), weight_dims=[2, 17]),
        Case((301, 13), weight_dims=[13, 11]),
    ]

    @staticmethod
    def formula(x, w, weight_dims):
        return (x[0][:, :, None] * w[0]).reshape(len(x[0]), -1)

    def test_worked_numbers(self):
        result = run("Multiply", [[[2, 3]]], weights=[[[1, 10, 100], [4, 5, 6]]], weight_dims=[2, 3])
        close(result["outputs"][0], [[2, 20, 200, 12, 15, 18]], 0)

    def test_wrong_dims(self):
        with pytest.raises(ValueError, match=r"weight_dims \[3, 4\] need an input \[batch, 3\], got \[2, 5\]"):
            run("WeightMultiply", [np.ones((2, 5))], weight_dims=[3, 4])
        with pytest.raises(ValueError, match="two positive integers"):
            run("WeightMultiply", [np.ones((2, 5))], weight_dims=[5])
