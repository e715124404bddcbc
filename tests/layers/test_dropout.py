# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from harness.ops import Case, OpTests, close, run
from harness.philox import kept, philox


def mask(shape, rate=0.5, **options):
    """What a tensor of ones becomes, over the scale of kept elements: 0 or 1."""
    y = run("Dropout", [np.ones(shape)], options=options, dropout_rate=rate)["outputs"][0]
    return (y * (1 - np.float32(rate))).round(6)


def expected(samples, elements, rate=0.5, *, seed=1, name="layer", step=0, first=0):
    return kept((samples, elements), rate, seed=seed, name=name, step=step, first=first)


class TestDropout(OpTests):
    type = "Dropout"
    cases = [Case((5, 7)), Case((1, 1), dropout_rate=0.0), Case((3, 2, 5), dropout_rate=0.3), Case((301, 257))]

    @staticmethod
    def formula(x, w, dropout_rate=0.5):
        rate = np.float32(dropout_rate)
        return x[0] * expected(len(x[0]), x[0][0].size, rate).reshape(x[0].shape) / (1 - rate)

    @pytest.mark.parametrize("rate", [0.25, 0.5, 0.75, 0.99])
    def test_rate_is_the_probability_of_zero(self, rate):
        kept = mask((1000, 400), rate)
        assert kept.mean() == pytest.approx(1 - rate, abs=5 * np.sqrt(rate * (1 - rate) / kept.size))
        for axis in (0, 1):  # no row or column is special
            spread = np.sqrt(rate * (1 - rate) / kept.shape[axis])
            assert np.abs(kept.mean(axis) - (1 - rate)).max() < 5 * spread

    @pytest.mark.parametrize(
        "options", [{}, {"seed": 2**63 + 5}, {"name": "dropout_ä"}, {"step": 12345}, {"first": 100_000}]
    )
    def test_mask_belongs_to_seed_name_step_and_sample(self, options):
        renamed = {("first_sample" if key == "first" else key): value for key, value in options.items()}
        np.testing.assert_array_equal(mask((40, 70), **renamed), expected(40, 70, **options))
        if options:
            assert (mask((40, 70), **renamed) != mask((40, 70))).mean() == pytest.approx(0.5, abs=0.05)

    @pytest.mark.parametrize("shape", [(12, 5), (12, 64), (20, 50), (8, 3, 30)])
    def test_rows_of_a_sample_have_one_mask(self, shape):
        """After a Reshape to more rows an element's mask is still that of its place in its sample."""
        whole = expected(4, np.prod(shape) // 4, first=8).reshape(shape)
        np.testing.assert_array_equal(mask(shape, samples=4, first_sample=8), whole)

    def test_samples_that_share_a_row(self):
        """Rows of three samples: the third rank's rows follow those of the first two."""
        np.testing.assert_array_equal(mask((4, 6), samples=12, first_sample=24), expected(4, 6, first=8))

    @pytest.mark.parametrize("shape", [(12, 5), (4, 150)])
    def test_gradients_have_the_same_mask(self, shape):
        g = np.random.default_rng(1).standard_normal(shape).astype(np.float32)
        options = {"samples": 4 if shape[0] == 12 else 8, "first_sample": 8}
        result = run("Dropout", [np.ones(shape)], d_outputs=[g], options=options)
        np.testing.assert_array_equal(result["d_inputs"][0], g * result["outputs"][0])

    @pytest.mark.parametrize(("rate", "training"), [(0.0, True), (1.0, True), (0.7, False)])
    def test_identity(self, rate, training):
        close(
            run("Dropout", [[[1, 2, 3]]], options={"training": training}, dropout_rate=rate)["outputs"][0],
            [[1, 2, 3]],
            0,
        )

    @pytest.mark.parametrize("rate", [-0.1, 1.5, 2**31, -(2**31), 1e20])
    def test_wrong_rate(self, rate):
        with pytest.raises(ValueError, match=r"dropout_rate must be within \[0, 1\], got (\S+)$") as caught:
            run("Dropout", [np.ones((1, 1))], dropout_rate=rate)
        assert np.float32(str(caught.value).split()[-1]) == np.float32(rate)
        assert str(caught.value).split()[-1] in (str(rate), repr(float(np.float32(rate))))


@pytest.mark.parametrize(
    ("counter", "key", "words"),
    [  # test vectors of the paper's authors
        ([0] * 4, 0, [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
        ([0xFFFFFFFF] * 4, 2**64 - 1, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
        (
            [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
            0x299F31D0A4093822,
            [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
        ),
    ],
)
def test_the_reference_is_philox(counter, key, words):
    assert philox(key, np.array(counter, np.uint32)).tolist() == words
