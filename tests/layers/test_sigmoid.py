# SPDX-License-Identifier: Apache-2.0
import numpy as np
from harness.ops import Case, OpTests, close, run


class TestSigmoid(OpTests):
    type = "Sigmoid"
    cases = [Case((5, 7)), Case((1, 1)), Case((3, 2, 5)), Case((301, 257))]

    @staticmethod
    def formula(x, w):
        return 1 / (1 + np.exp(-x[0]))

    def test_extreme_values(self):
        close(run("Sigmoid", [[[-1000.0, 0.0, 1000.0]]])["outputs"][0], [[0, 0.5, 1]], 0)
