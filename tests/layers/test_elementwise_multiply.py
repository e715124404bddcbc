# SPDX-License-Identifier: Apache-2.0
import numpy as np
from harness.ops import Case, OpTests, close, run


def near_one(rng, shape):
    """Products of many, and what they are without one of them, stay in the range of 16-bit floats."""
    return rng.uniform(0.5, 1.5, shape) * rng.choice([-1.0, 1.0], shape)


class TestElementwiseMultiply(OpTests):
    type = "ElementwiseMultiply"
    draw = (near_one,) * 40
    cases = [
        Case((5, 7), (5, 7)),
        Case((1, 1), (1, 1), (1, 1)),
        Case(*[(2, 3, 4)] * 4),
        Case((301, 257), (301, 257), (301, 257)),
        Case(*[(3, 5)] * 40),
    ]

    @staticmethod
    def formula(x, w):
        return np.prod(x, axis=0)

    def test_a_zero_factor_still_gets_its_gradient(self):
        result = run("DotProduct", [[[0.0, 0.0]], [[3.0, 0.0]]], d_outputs=[[[2.0, 2.0]]])
        close(result["d_inputs"], [[[6, 0]], [[0, 0]]], 0)
