# SPDX-License-Identifier: Apache-2.0
from harness.ops import Case, OpTests


class TestCast(OpTests):
    type = "Cast"
    cases = [Case((5, 7)), Case((2, 3, 4))]

    @staticmethod
    def formula(x, w):
        return x[0]
