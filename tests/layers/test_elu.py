# SPDX-License-Identifier: Apache-2.0
import numpy as np
from harness.ops import Case, OpTests


class TestELU(OpTests):
    type = "ELU"
    cases = [Case((5, 7)), Case((1, 1), elu_alpha=0.3), Case((3, 2, 5), elu_alpha=-2.0), Case((301, 257))]

    @staticmethod
    def formula(x, w, elu_alpha=1.0):
        return np.where(x[0] >= 0, x[0], np.float32(elu_alpha) * (np.exp(x[0]) - 1))
