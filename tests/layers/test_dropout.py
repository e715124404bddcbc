# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from harness.ops import Case, OpTests, close, run


def mask(shape, rate=0.5, **options):
    """What a tensor of ones becomes, over the scale of kept elements: 0 or 1."""
    y = run("Dropout", [np.ones(shape)], options=options, dropout_rate=rate)["outputs"][0]
    return y * (1 - np.float32(rate))


class TestDropout(OpTests):
    type = "Dropout"
    cases = [Case((5, 7)), Case((1, 1), dropout_rate=0.0), Case((3, 2, 5), dropout_rate=0.3), Case((301, 257))]

    @staticmethod
    def formula(x, w, dropout_rate=0.5):
        return x[0] * mask(x[0].shape, dropout_rate) / (1 - np.float32(dropout_rate))

    @pytest.mark.parametrize("rate", [0.25, 0.5, 0.75, 0.99])
    def test_rate_is_the_probability_of_zero(self, rate):
        kept = mask((1000, 400), rate)
        close(kept, kept.round(), 1e-6)
        assert kept.mean() == pytest.approx(1 - rate, abs=5 * np.sqrt(rate * (1 - rate) / kept.size))
        for axis in (0, 1):  # no row or column is special
            spread = np.sqrt(rate * (1 - rate) / kept.shape[axis])
            assert np.abs(kept.mean(axis) - (1 - rate)).max() < 5 * spread

    def test_mask_belongs_to_seed_layer_step_and_sample(self):
        whole = mask((40, 70))
        np.testing.assert_array_equal(whole[13:], mask((27, 70), first_sample=13))
        for other in ({"seed": 2}, {"layer_index": 1}, {"step": 1}, {"first_sample": 1}):
            assert (mask((40, 70), **other) != whole).mean() == pytest.approx(0.5, abs=0.05)

    @pytest.mark.parametrize(("rate", "training"), [(0.0, True), (1.0, True), (0.7, False)])
    def test_identity(self, rate, training):
        close(
            run("Dropout", [[[1, 2, 3]]], options={"training": training}, dropout_rate=rate)["outputs"][0],
            [[1, 2, 3]],
            0,
        )

    @pytest.mark.parametrize("rate", [-0.1, 1.5])
    def test_wrong_rate(self, rate):
        with pytest.raises(ValueError, match=r"dropout_rate must be within \[0, 1\]"):
            run("Dropout", [np.ones((1, 1))], dropout_rate=rate)
