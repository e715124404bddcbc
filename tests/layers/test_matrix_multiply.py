# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from harness.ops import Case, OpTests, close, run


class TestMatrixMultiply(OpTests):
    type = "MatrixMultiply"
    uses_gemm = True
    cases = [
        Case((5, 7), (7, 3)),
        Case((1, 1), (1, 1)),
        Case((130, 1), (1, 65)),
        Case((257, 129), (129, 33)),
        Case((4, 1, 10), (4, 10, 36)),
        Case((3, 5, 7), (3, 7, 2)),
        Case((1, 33, 17), (1, 17, 9)),
        Case((301, 3, 16), (301, 16, 8)),
        Case((3, 70, 65), (3, 65, 131)),
        Case((2, 3, 5, 8), (2, 3, 8, 4)),
        Case((6, 5), (5, 3, 4)),
    ]

    @staticmethod
    def formula(x, w):
        return np.einsum("mn,npq->mpq", *x) if x[0].ndim < x[1].ndim else x[0] @ x[1]

    @pytest.mark.parametrize("name", ["MatrixMultiply", "MatrixMutiply"])
    def test_worked_numbers(self, name):
        result = run(name, [[[1, 2], [3, 4]], [[5], [6]]], d_outputs=[[[1], [10]]])
        close(result["outputs"][0], [[17], [39]], 1e-6)
        close(result["d_inputs"][0], [[5, 6], [50, 60]], 1e-6)
        close(result["d_inputs"][1], [[31], [42]], 1e-6)

    def test_more_products_than_a_launch_takes(self):
        rng = np.random.default_rng(0)
        x = [np.float32(rng.standard_normal((70001, 1, 3))), np.float32(rng.standard_normal((70001, 3, 2)))]
        close(run("MatrixMultiply", x)["outputs"][0], x[0].astype(np.float64) @ x[1])

    @pytest.mark.parametrize(
        "shapes, message",
        [
            ([(4, 3), (2, 4)], r"got \[4, 3\] and \[2, 4\]"),
            ([(4, 3, 2), (5, 2, 3)], r"got \[4, 3, 2\] and \[5, 2, 3\]"),
            ([(4, 3, 2), (2, 3)], r"got \[4, 3, 2\] and \[2, 3\]"),
        ],
    )
    def test_wrong_shapes(self, shapes, message):
        with pytest.raises(ValueError, match=message):
            run("MatrixMultiply", [np.ones(shape) for shape in shapes])
