# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from harness.ops import Case, OpTests, close, run


class TestFmOrder2(OpTests):
    type = "FmOrder2"
    cases = [
        Case((5, 12), out_dim=4),
        Case((1, 1), out_dim=1),
        Case((3, 7), out_dim=7),
        Case((4, 6), out_dim=1),
        Case((2, 210), out_dim=70),
        Case((301, 26 * 11), out_dim=11),
        Case((3, 130 * 10), out_dim=10),
    ]

    @staticmethod
    def formula(x, w, out_dim):
        x = x[0].reshape(len(x[0]), -1, out_dim)
        return (x.sum(1) ** 2 - (x**2).sum(1)) / 2

    def magnitude(self, x):
        return float((x[0] ** 2).max())  # of the squares, which cancel where there is one vector

    def test_worked_numbers(self):
        result = run("FmOrder2", [[[1, 2, 3, -1, 0.5, 4]]], d_outputs=[[[1, 1]]], out_dim=2)
        close(result["outputs"][0], [[5, 2]], 1e-6)
        close(result["d_inputs"][0], [[3.5, 3, 1.5, 6, 4, 1]], 1e-6)

    def test_wrong_width(self):
        with pytest.raises(ValueError, match=r"slots x out_dim 4\], got \[2, 6\]"):
            run("FmOrder2", [np.ones((2, 6))], out_dim=4)
