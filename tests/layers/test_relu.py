# SPDX-License-Identifier: Apache-2.0
import numpy as np
from harness.ops import Case, OpTests, run


class TestReLU(OpTests):
    type = "ReLU"
    cases = [Case((5, 7)), Case((1, 1)), Case((3, 2, 5)), Case((301, 257))]

    @staticmethod
    def formula(x, w):
        return np.maximum(x[0], 0)

    def test_gradient_is_zero_at_zero_and_nan_stays_visible(self):
        result = run("ReLU", [[[0.0, np.nan]]], d_outputs=[[[1.0, 1.0]]])
        assert result["d_inputs"][0][0, 0] == 0
        assert np.isnan(result["outputs"][0][0, 1])
