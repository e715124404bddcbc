# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from harness.ops import Case, OpTests, as_printed, bits, close, normal, run


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def masked_softmax(x, mask):
    """Of [batch, heads, queries, keys] and [batch, 1, queries, keys]."""
    a = x - 10000 * (1 - mask)
    e = np.exp(a - a.max(-1, keepdims=True))
    return e / (e.sum(-1, keepdims=True) + 1e-6)


class TestSoftmax(OpTests):
    type = "Softmax"
    cases = [
        Case((5, 7)),
        Case((1, 1)),
        Case((4, 10)),
        Case((3, 2, 5)),
        Case((2, 3, 4, 64)),
        Case((33, 100)),
        Case((301, 257)),
        Case((7, 1024)),
        Case((3, 5001)),
        Case((5, 7), factor=0.25),
        Case((33, 100), factor=-2.0),
    ]

    @staticmethod
    def formula(x, w, factor=1.0):
        return softmax(np.float64(np.float32(factor)) * x[0])

    def test_worked_numbers(self):
        result = run("Softmax", [[[0, 1, -1]]], d_outputs=[[[1, 2, 3]]])
        as_printed(result["outputs"][0], [[0.244728, 0.665241, 0.090031]])
        as_printed(result["d_inputs"][0], [[-0.206869, 0.102911, 0.103958]])

    def test_large_logits(self):
        x = np.array([[1000.0, 999.0, -1000.0], [-3e38, 3e38, 0.0], [88.0, 89.0, 90.0]])
        result = run("Softmax", [x], d_outputs=[np.ones((3, 3))])
        close(result["outputs"][0], softmax(np.float32(x).astype(np.float64)), 1e-6)
        close(result["d_inputs"][0], np.zeros((3, 3)), 1e-6, at_least=1)  # g - sum(y g), both 1

    def test_small_probabilities_keep_their_digits(self):
        x = np.array([[0.0, -20.0, -40.0, -80.0]])
        result = run("Softmax", [x], d_outputs=[[[0.0, 1.0, 1.0, 1.0]]])
        y = softmax(x)
        np.testing.assert_allclose(result["outputs"][0], y, rtol=1e-6)
        g = np.array([[0.0, 1.0, 1.0, 1.0]])
        np.testing.assert_allclose(result["d_inputs"][0], y * (g - (g * y).sum()), rtol=1e-6)


class TestMaskedSoftmax(OpTests):
    type = "Softmax"
    draw = (normal, bits)
    differentiable = 1
    cases = [
        Case((2, 3, 4, 5), (2, 1, 4, 5)),
        Case((1, 1, 1, 3), (1, 1, 1, 3)),
        Case((33, 2, 3, 10), (33, 1, 3, 10), factor=0.5),
        Case((3, 4, 5, 64), (3, 1, 5, 64)),
        Case((2, 2, 2, 257), (2, 1, 2, 257)),
        Case((1, 2, 2, 1500), (1, 1, 2, 1500)),
    ]

    @staticmethod
    def formula(x, w, factor=1.0):
        return masked_softmax(factor * x[0], x[1])

    def test_worked_numbers(self):
        x, mask = [[[[1, 2, 3], [1, 2, 3]]]], [[[[1, 0, 1], [0, 0, 0]]]]
        result = run("Softmax", [x, mask], d_outputs=[[[[[1, 2, 3], [1, 2, 3]]]]])
        e = np.exp([[-2, -np.inf, 0], [-2, -1, 0]])
        y = e / (e.sum(1, keepdims=True) + 1e-6)
        close(result["outputs"][0], [[y]], 1e-6)
        close(result["d_inputs"][0], [[y * (np.array([1, 2, 3]) - y @ [[1], [2], [3]])]], 1e-6)
        close(result["d_inputs"][1], np.zeros((1, 1, 2, 3)), 0)

    def test_wrong_shapes(self):
        for mask in ((2, 3, 4, 5), (1, 1, 4, 5), (2, 4, 5)):
            with pytest.raises(ValueError, match=r"\[batch, 1, queries, keys\], got \[2, 3, 4, 5\] and \["):
                run("Softmax", [np.ones((2, 3, 4, 5)), np.ones(mask)])
