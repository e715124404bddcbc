# SPDX-License-Identifier: Apache-2.0
from harness.ops import Case, OpTests


class TestSub(OpTests):
    type = "Sub"
    cases = [Case((5, 7), (5, 7)), Case((1, 1), (1, 1)), Case((2, 3, 4), (2, 3, 4)), Case((301, 257), (301, 257))]

    @staticmethod
    def formula(x, w):
        return x[0] - x[1]
