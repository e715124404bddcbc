# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from harness.ops import Case, OpTests, as_printed, run


def sigmoid(v):
    return 1 / (1 + np.exp(-v))


def gru(x, w, width):
    """x [steps, sequences, inputs] to [steps, sequences, width]."""
    h = np.zeros((x.shape[1], width))
    states = []
    w_r, w_i, w_n = np.split(w[0], 3)
    r_r, r_i, r_n = np.split(w[1], 3)
    b_r, b_i, b_n = np.split(w[2][0], 3)
    for x_t in x:
        r = sigmoid(x_t @ w_r.T + h @ r_r.T + b_r)
        i = sigmoid(x_t @ w_i.T + h @ r_i.T + b_i)
        n = np.tanh(x_t @ w_n.T + r * (h @ r_n.T) + b_n)
        h = (1 - i) * n + i * h
        states.append(h)
    return np.stack(states)


class TestGRU(OpTests):
    type = "GRU"
    uses_gemm = True
    roundings = 6  # states and their gradients are stored, step after step
    cases = [
        Case((12, 5), num_output=4, batchsize=3, SeqLength=4, vector_size=5),
        Case((1, 60), num_output=4, batchsize=3, SeqLength=4, vector_size=5),
        Case((3, 4, 5), num_output=4, batchsize=3, SeqLength=4, vector_size=5),
        Case((1, 1), num_output=1),
        Case((1, 1, 3), num_output=2, SeqLength=1, vector_size=3),
        Case((7, 9, 2), num_output=33, SeqLength=9, vector_size=2),
        Case((65 * 3, 17), num_output=19, batchsize=65, SeqLength=3, vector_size=17),
    ]

    @staticmethod
    def formula(x, w, num_output, batchsize=1, SeqLength=1, vector_size=1):  # noqa: N803 (names of the interface)
        if x[0].ndim == 3:
            return np.swapaxes(gru(np.swapaxes(x[0], 0, 1), w, num_output), 0, 1)
        y = gru(x[0].reshape(SeqLength, -1, vector_size), w, num_output)
        return y.reshape(x[0].shape[0], -1)

    def test_worked_numbers(self):
        """The three weights follow each other in a file: together they are the packed weight of other libraries."""
        packed = np.array(
            [0.1, 0.2, 0.3, -0.4, 0.5, 0.6]  # of the input
            + [0.1, 0.2, 0.3, 0.4, -0.1, 0.2, 0.1, 0, 0.5, -0.5, 0.25, 0.1]  # of the state
            + [0, 0.1, 0.2, 0, -0.1, 0.3]
        )
        weights = packed[:6].reshape(6, 1), packed[6:18].reshape(6, 2), packed[18:].reshape(1, 6)
        result = run("GRU", [[[1.0], [-2.0]]], weights=weights, num_output=2, SeqLength=2)
        as_printed(result["outputs"][0], [[0.143446, 0.428839], [-0.418785, 0.083109]])

    def test_wrong_input(self):
        with pytest.raises(ValueError, match=r"SeqLength 4 and vector_size 5; got \[12, 4\]"):
            run("GRU", [np.ones((12, 4))], num_output=2, SeqLength=4, vector_size=5)
        with pytest.raises(ValueError, match=r"got \[10, 5\]"):
            run("GRU", [np.ones((10, 5))], num_output=2, SeqLength=4, vector_size=5)
