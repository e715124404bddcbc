# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from harness.ops import ROUNDING, Case, OpTests, as_printed, close, run


def dice(x, elu_alpha=1.0, eps=1e-5):
    alpha = np.float64(np.float32(elu_alpha))
    p = 1 / (1 + np.exp((x.mean(0) - x) / np.sqrt(x.var(0) + np.float64(np.float32(eps)))))
    return p * x + (1 - p) * alpha * x


class TestPReLUDice(OpTests):
    type = "PReLU_Dice"
    cases = [
        Case((5, 7), elu_alpha=0.2),
        Case((1, 1), elu_alpha=0.2),
        Case((6, 3)),
        Case((33, 64), elu_alpha=-0.5, eps=1e-3),
        Case((9, 130), elu_alpha=0.2, eps=1e-8),
        Case((301, 257), elu_alpha=0.25, eps=1.0),
    ]

    @staticmethod
    def formula(x, w, **params):
        return dice(x[0], **params)

    def test_gradient(self, case, dtype):
        """Of each output by its own input alone, by central differences."""
        (x,), _, (g,) = self.data(case, dtype)
        x = x.astype(np.float64)
        result = self.run_case(case, dtype)["d_inputs"][0]
        h, expected = 1e-6, np.zeros_like(x)
        for r in range(len(x)):
            up, down = x.copy(), x.copy()
            up[r] += h
            down[r] -= h
            expected[r] = (dice(up, **case.params)[r] - dice(down, **case.params)[r]) / (2 * h)
        close(result, g * expected, 3 * self.tol + ROUNDING[dtype])

    def test_worked_numbers(self):
        result = run("PReLU_Dice", [[[1], [2], [4]]], d_outputs=[np.ones((3, 1))], elu_alpha=0.2, eps=1e-5)
        as_printed(result["outputs"][0], [[0.404468], [1.093728], [3.334020]])
        as_printed(result["d_inputs"][0], [[0.439337], [0.749398], [0.863709]])

    def test_evaluation_uses_its_own_batch(self):
        x = np.random.default_rng(0).standard_normal((9, 2))
        for training in (True, False):
            result = run("PReLU_Dice", [x], options={"training": training}, elu_alpha=0.2)
            close(result["outputs"][0], dice(np.float32(x).astype(np.float64), elu_alpha=0.2))

    def test_only_valid_rows_count(self):
        rng = np.random.default_rng(0)
        x, g = rng.standard_normal((9, 3)), rng.standard_normal((9, 3))
        part = run("PReLU_Dice", [x], d_outputs=[g], options={"rows": 4}, elu_alpha=0.2)
        alone = run("PReLU_Dice", [x[:4]], d_outputs=[g[:4]], elu_alpha=0.2)
        for key in ("outputs", "d_inputs"):
            close(part[key][0], np.concatenate([alone[key][0], np.zeros((5, 3))]), 1e-6)
        none = run("PReLU_Dice", [x], d_outputs=[g], options={"rows": 0}, elu_alpha=0.2)
        close(none["outputs"][0], np.zeros((9, 3)), 0)
        close(none["d_inputs"][0], np.zeros((9, 3)), 0)

    def test_columns_that_do_not_vary(self):
        """Their mean decides nothing: p is 1/2, and does not move."""
        result = run("PReLU_Dice", [[[3], [3]]], d_outputs=[[[1], [2]]], elu_alpha=0.5, eps=1e-8)
        close(result["outputs"][0], [[2.25], [2.25]], 1e-6)
        close(result["d_inputs"][0], [[0.75], [1.5]], 1e-6)

    def test_wrong_arguments(self):
        with pytest.raises(ValueError, match=r"must be \[batch, width\], got \[2, 3, 4\]"):
            run("PReLU_Dice", [np.ones((2, 3, 4))])
        with pytest.raises(ValueError, match="eps must not be negative"):
            run("PReLU_Dice", [np.ones((2, 3))], eps=-1.0)
