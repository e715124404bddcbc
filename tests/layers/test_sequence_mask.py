# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from harness.ops import Case, OpTests, run


def lengths(rng, shape):
    """Between whole numbers, where the mask has no step."""
    return rng.integers(-1, 9, shape) + 0.5


class TestSequenceMask(OpTests):
    type = "SequenceMask"
    draw = (lengths, lengths)
    cases = [
        Case((5, 1), (5, 1), max_sequence_len_from=7, max_sequence_len_to=3),
        Case((1, 1), (1, 1)),
        Case((301, 1), (301, 1), max_sequence_len_from=5, max_sequence_len_to=9),
    ]

    @staticmethod
    def formula(x, w, max_sequence_len_from=1, max_sequence_len_to=1):
        rows = np.arange(max_sequence_len_from) < np.trunc(x[0])
        columns = np.arange(max_sequence_len_to) < np.trunc(x[1])
        return (rows[:, None, :, None] & columns[:, None, None, :]).astype(np.float64)

    def test_worked_numbers(self):
        result = run("SequenceMask", [[[2]], [[3.9]]], max_sequence_len_from=3, max_sequence_len_to=4)
        assert result["outputs"][0].tolist() == [[[[1, 1, 1, 0], [1, 1, 1, 0], [0, 0, 0, 0]]]]

    def test_wrong_arguments(self):
        with pytest.raises(ValueError, match=r"its inputs must be lengths \[batch, 1\], got \[2, 3\]"):
            run("SequenceMask", [np.ones((2, 3)), np.ones((2, 3))])
        with pytest.raises(ValueError, match="max_sequence_len_to must be between 1 and 2147483647, got 0"):
            run("SequenceMask", [np.ones((2, 1)), np.ones((2, 1))], max_sequence_len_to=0)
