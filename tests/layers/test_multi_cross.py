# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from harness.ops import Case, OpTests, close, run


class TestMultiCross(OpTests):
    type = "MultiCross"
    cases = [
        Case((5, 7), num_layers=1),
        Case((5, 7), num_layers=3),
        Case((1, 1), num_layers=2),
        Case((4, 33), num_layers=2),
        Case((301, 29), num_layers=2),
    ]

    @staticmethod
    def formula(x, w, num_layers):
        y = x[0]
        for i in range(num_layers):
            y = x[0] * (y @ w[2 * i].T) + y + w[2 * i + 1]
        return y

    def test_worked_numbers(self):
        weights = [[0.5, -1]], [[0.1, 0]], [[0.2, 0.1]], [[0, -0.3]]
        result = run("MultiCross", [[[1, 2]]], weights=weights, d_outputs=[[[1, 1]]], num_layers=2)
        close(result["outputs"][0], [[-0.58, -1.66]], 1e-6)
        close(result["d_inputs"][0], [[1.12, -5.03]], 1e-6)
        close(result["d_weights"], [[[4.2, 8.4]], [[1.6, 1.3]], [[-1.2, -3]], [[1, 1]]], 1e-6)

    def test_many_layers(self):
        rng, layers = np.random.default_rng(1), 70
        x, w = rng.standard_normal((3, 5)), [rng.uniform(-0.1, 0.1, (1, 5)) for _ in range(2 * layers)]
        x, w = x.astype(np.float32), [v.astype(np.float32) for v in w]
        g = np.ones((3, 5))
        result = run("MultiCross", [x], weights=w, d_outputs=[g], num_layers=layers)
        x, w = x.astype(np.float64), [v.astype(np.float64) for v in w]
        close(result["outputs"][0], self.formula([x], w, layers), 1e-5)
        for tensor, gradient in [(x, result["d_inputs"][0]), *zip(w, result["d_weights"])]:
            direction = rng.standard_normal(tensor.shape)
            ends = []
            for sign in (1, -1):
                tensor += sign * 1e-6 * direction
                ends.append(self.formula([x], w, layers).sum())
                tensor -= sign * 1e-6 * direction
            scale = float(np.abs(gradient * direction).sum())
            assert abs((gradient * direction).sum() - (ends[0] - ends[1]) / 2e-6) <= 1e-4 * max(1.0, scale)

    def test_needs_layers(self):
        with pytest.raises(ValueError, match="num_layers must be positive, got 0"):
            run("MultiCross", [np.ones((2, 3))])


class TestLowRank(OpTests):
    type = "MultiCross"
    uses_gemm = True
    roundings = 20  # three layers store 8 tensors on the way up and 11 on the way down
    cases = [
        Case((5, 7), num_layers=1, projection_dim=3),
        Case((5, 7), num_layers=3, projection_dim=2),
        Case((1, 1), num_layers=2, projection_dim=1),
        Case((4, 33), num_layers=2, projection_dim=40),
        Case((301, 29), num_layers=2, projection_dim=8),
    ]

    @staticmethod
    def formula(x, w, num_layers, projection_dim):
        y = x[0]
        for i in range(num_layers):
            u, v, b = w[3 * i : 3 * i + 3]
            y = x[0] * (y @ u @ v + b) + y
        return y

    def test_weights(self):
        weights = run("MultiCross", [np.ones((2, 300))], num_layers=2, projection_dim=50)["weights"]
        assert [w.shape for w in weights] == [(300, 50), (50, 300), (1, 300)] * 2
        for w in (weights[0], weights[1], weights[3], weights[4]):
            assert w.std() == pytest.approx(np.sqrt(2 / 350), rel=5 / np.sqrt(2 * w.size))
            assert abs(w.mean()) < 5 * np.sqrt(2 / 350 / w.size)
        assert not weights[2].any()

    def test_a_negative_width(self):
        with pytest.raises(ValueError, match="projection_dim must be between 0 and 2147483647, got -1"):
            run("MultiCross", [np.ones((2, 3))], num_layers=1, projection_dim=-1)
