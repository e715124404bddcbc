# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from harness.ops import Case, OpTests, bits, close, normal, run
from layers.test_softmax import masked_softmax, softmax


def attention(x, heads):
    def split(t):
        return t.reshape(*t.shape[:2], heads, -1).transpose(0, 2, 1, 3)

    q, k, v = (split(t) for t in x[:3])
    logits = q @ k.swapaxes(2, 3) / np.sqrt(q.shape[3])
    y = (masked_softmax(logits, x[3]) if len(x) == 4 else softmax(logits)) @ v
    return y.transpose(0, 2, 1, 3).reshape(x[0].shape)


class TestMultiHeadAttention(OpTests):
    type = "MultiHeadAttention"
    uses_gemm = True
    roundings = 3
    draw = (normal, normal, normal, bits)
    cases = [
        Case((5, 3, 8), (5, 7, 8), (5, 7, 8)),
        Case((1, 1, 1), (1, 1, 1), (1, 1, 1)),
        Case((5, 3, 8), (5, 7, 8), (5, 7, 8), num_attention_heads=2),
        Case((33, 1, 6), (33, 10, 6), (33, 10, 6), num_attention_heads=3),
        Case((3, 20, 64), (3, 20, 64), (3, 20, 64), num_attention_heads=4),
        Case((2, 65, 36), (2, 70, 36), (2, 70, 36)),
        Case((2, 3, 16), (2, 100, 16), (2, 100, 16), num_attention_heads=2),
    ]

    @staticmethod
    def formula(x, w, num_attention_heads=1):
        return attention(x, num_attention_heads)

    def test_worked_numbers(self):
        q, k, v = [[[1, 0]]], [[[np.log(3), 5], [0, -5]]], [[[4, 8], [0, 4]]]
        result = run("MultiHeadAttention", [q, k, v], d_outputs=[[[[1, 1]]]], num_attention_heads=2)
        close(result["outputs"][0], [[[3, 6]]], 1e-6)
        close(result["d_inputs"][0], [[[0.75 * 0.25 * 4 * np.log(3), 0.25 * 4 * 10]]], 3e-6)
        close(result["d_inputs"][1], [[[0.75, 0], [-0.75, 0]]], 3e-6)
        close(result["d_inputs"][2], [[[0.75, 0.5], [0.25, 0.5]]], 3e-6)

    @pytest.mark.parametrize(
        ("shapes", "heads", "message"),
        [
            ([(2, 3, 6)] * 3, 4, r"num_attention_heads 4 does not divide the width of \[2, 3, 6\]"),
            ([(2, 3, 6), (2, 3, 4), (2, 3, 4)], 1, r"got \[2, 3, 6\], \[2, 3, 4\] and \[2, 3, 4\]"),
            ([(2, 3, 6), (2, 3, 6), (2, 4, 6)], 1, r"got \[2, 3, 6\], \[2, 3, 6\] and \[2, 4, 6\]"),
            ([(2, 3, 6), (2, 5, 6), (2, 5, 6), (2, 1, 5, 3)], 1, r"mask must be \[2, 1, 3, 5\], got \[2, 1, 5, 3\]"),
            ([(2, 3, 6)] * 2, 1, r"\[heads, batch, keys, width\], got \[2, 3, 6\] and \[2, 3, 6\]"),
            ([(2, 3, 6)] * 3, 0, "num_attention_heads must be between 1 and 2147483647, got 0"),
        ],
    )
    def test_wrong_arguments(self, shapes, heads, message):
        with pytest.raises(ValueError, match=message):
            run("MultiHeadAttention", [np.ones(shape) for shape in shapes], num_attention_heads=heads)


class TestMaskedAttention(TestMultiHeadAttention):
    differentiable = 3
    cases = [
        Case((5, 3, 8), (5, 7, 8), (5, 7, 8), (5, 1, 3, 7), num_attention_heads=2),
        Case((1, 1, 1), (1, 1, 1), (1, 1, 1), (1, 1, 1, 1)),
        Case((3, 20, 64), (3, 20, 64), (3, 20, 64), (3, 1, 20, 20), num_attention_heads=4),
        Case((33, 2, 6), (33, 10, 6), (33, 10, 6), (33, 1, 2, 10), num_attention_heads=3),
    ]

    def test_what_is_masked_has_no_part(self):
        rng = np.random.default_rng(0)
        q, k, v, g = (rng.standard_normal((2, 5, 6)) for _ in range(4))
        mask = np.zeros((2, 1, 5, 5))
        mask[..., :3] = 1
        params = {"num_attention_heads": 2, "d_outputs": [g]}
        masked = run("MultiHeadAttention", [q, k, v, mask], **params)
        short = run("MultiHeadAttention", [q, k[:, :3], v[:, :3]], **params)
        close(masked["outputs"][0], short["outputs"][0], 3e-6)
        close(masked["d_inputs"][0], short["d_inputs"][0], 5e-6)
        for i in (1, 2):
            close(masked["d_inputs"][i][:, :3], short["d_inputs"][i], 5e-6)
            close(masked["d_inputs"][i][:, 3:], np.zeros((2, 2, 6)), 0)
        close(masked["d_inputs"][3], np.zeros(mask.shape), 0)


class TestLogitsOfAttention(OpTests):
    """The form of earlier releases: two tensors that have heads as a dimension, and no softmax."""

    type = "MultiHeadAttention"
    uses_gemm = True
    cases = [
        Case((2, 3, 4, 8), (2, 3, 5, 8)),
        Case((1, 1, 1, 1), (1, 1, 1, 1)),
        Case((4, 9, 20, 16), (4, 9, 33, 16)),
        Case((1, 2, 70, 65), (1, 2, 131, 65)),
    ]

    @staticmethod
    def formula(x, w):
        return x[0] @ x[1].swapaxes(2, 3)
