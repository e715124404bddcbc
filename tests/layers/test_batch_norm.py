# SPDX-License-Identifier: Apache-2.0
import numpy as np
from harness.ops import Case, OpTests, as_printed, close, run


class TestBatchNorm(OpTests):
    type = "BatchNorm"
    cases = [Case((5, 7)), Case((6, 1), eps=1e-3), Case((1, 3), eps=1.0), Case((301, 257), factor=0.1)]

    @staticmethod
    def formula(x, w, eps=1e-5, factor=1.0):
        normalised = (x[0] - x[0].mean(0)) / np.sqrt(x[0].var(0) + np.float32(eps))
        return normalised * w[0].T + w[1].T

    def test_worked_numbers(self):
        result = run("BatchNorm", [[[1], [2], [4]]], d_outputs=[[[1], [0], [0]]], eps=1e-5)
        as_printed(result["outputs"][0], [[-1.069042], [-0.267260], [1.336302]])
        as_printed(result["d_inputs"][0], [[0.229083], [-0.343620], [0.114538]])
        as_printed(result["d_weights"], [[[-1.069042]], [[1]]])
        as_printed(result["states"], [[2.333333], [2.333333]])

    def test_running_statistics(self):
        x, states = np.random.default_rng(0).standard_normal((9, 3)), [[1.0, 2, 3], [4.0, 5, 6]]
        result = run("BatchNorm", [x], options={"states": [np.float32(s) for s in states]}, factor=0.25)
        close(result["states"][0], 0.75 * np.array(states[0]) + 0.25 * x.mean(0))
        close(result["states"][1], 0.75 * np.array(states[1]) + 0.25 * x.var(0, ddof=1))

    def test_evaluation_uses_running_statistics(self):
        x, states = np.random.default_rng(0).standard_normal((9, 2)), [np.float32([1, 2]), np.float32([4, 0.25])]
        weights = [[[2.0], [3.0]], [[0.5], [-1.0]]]
        result = run("BatchNorm", [x], weights=weights, options={"states": states, "training": False})
        close(result["outputs"][0], (x - states[0]) / np.sqrt(states[1] + 1e-5) * [2, 3] + [0.5, -1])
        close(result["states"], states, 0)

    def test_only_valid_rows_count(self):
        """Rows from 4 on are padding: they change no statistic and get no gradient."""
        rng = np.random.default_rng(0)
        x, g = rng.standard_normal((9, 3)), rng.standard_normal((9, 3))
        part = run("BatchNorm", [x], d_outputs=[g], options={"rows": 4}, factor=0.25)
        alone = run("BatchNorm", [x[:4]], d_outputs=[g[:4]], factor=0.25)
        close(part["outputs"][0], np.concatenate([alone["outputs"][0], np.zeros((5, 3))]), 1e-6)
        close(part["d_inputs"][0], np.concatenate([alone["d_inputs"][0], np.zeros((5, 3))]), 1e-6)
        close(part["states"], alone["states"], 1e-6)
        close(part["d_weights"], alone["d_weights"], 1e-6)

    def test_without_valid_rows_nothing_moves(self):
        states = [np.float32([1, 2]), np.float32([4, 0.25])]
        x = np.random.default_rng(0).standard_normal((9, 2))
        result = run("BatchNorm", [x], d_outputs=[x], options={"rows": 0, "states": states}, eps=0.0)
        close(result["states"], states, 0)
        close(result["d_inputs"][0], np.zeros((9, 2)), 0)
        assert np.isfinite(result["outputs"][0]).all()
