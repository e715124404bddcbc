# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from harness.ops import Case, OpTests, run


class TestFusedInnerProduct(OpTests):
    type = "FusedInnerProduct"
    uses_gemm = True
    cases = [
        Case((5, 7), num_output=6),
        Case((5, 7), num_output=1, act_type="Non"),
        Case((1, 1), num_output=2),
        Case((257, 129), num_output=401),
    ]

    @staticmethod
    def formula(x, w, num_output, act_type="Relu"):
        z = x[0] @ w[0] + w[1]
        return np.maximum(z, 0) if act_type == "Relu" else z

    def test_unknown_position(self):
        x = np.ones((2, 3))
        with pytest.raises(KeyError, match="Isolated"):
            run("FusedInnerProduct", [x], num_output=4, pos_type="Isolate")
