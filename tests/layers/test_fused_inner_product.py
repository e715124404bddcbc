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

    def test_positions_only_add_empty_tensors(self):
        x, empty = np.ones((2, 3)), np.ones((2, 0))
        plain = run("FusedInnerProduct", [x], num_output=4)["outputs"][0]
        for position, inputs, outputs in (("Head", 1, 4), ("Head", 2, 4), ("Body", 4, 4), ("Tail", 4, 1)):
            result = run("FusedInnerProduct", [x, *[empty] * (inputs - 1)], num_output=4, pos_type=position)
            assert [y.shape for y in result["outputs"]] == [(2, 4), (2, 0), (2, 0), (2, 0)][:outputs]
            np.testing.assert_array_equal(result["outputs"][0], plain)
        with pytest.raises(ValueError, match="position Body takes 4 bottoms, got 1"):
            run("FusedInnerProduct", [x], num_output=4, pos_type="Body")
        with pytest.raises(KeyError, match="Isolated"):
            run("FusedInnerProduct", [x], num_output=4, pos_type="Isolate")
