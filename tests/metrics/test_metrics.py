# SPDX-License-Identifier: Apache-2.0
"""Metrics: the tables of the specification, scikit-learn on random data, and the same value for any number of ranks."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hugectr import _core
from sklearn.metrics import log_loss, ndcg_score, roc_auc_score

PROBABILITIES = ["LogLoss", "NormalizedEntropy", "Calibration"]


def matrix(values) -> np.ndarray:
    array = np.array(values, np.float32)
    return array[:, None] if array.ndim == 1 else array


def metric(name: str, *ranks: Sequence[tuple]) -> float:
    """Value of a metric over batches (predictions, labels[, loss]) given per rank; all ranks must agree exactly."""
    m = _core.testing.Metric(name, len(ranks))
    for rank, batches in enumerate(ranks):
        for predictions, labels, *loss in batches:
            m.update(rank, matrix(predictions), matrix(labels), *loss)
    values = m.values()
    assert all(v == values[0] or math.isnan(v) and math.isnan(values[0]) for v in values)
    m.reset()
    assert name == "NDCG" or math.isnan(m.values()[0])
    return values[0]


def spread(predictions: np.ndarray, labels: np.ndarray, ranks: int) -> list[list[tuple]]:
    """Samples cut into uneven batches that are dealt out to ranks."""
    cuts = np.sort(np.random.default_rng(ranks).integers(0, len(labels), 9))
    batches = list(zip(np.split(predictions, cuts), np.split(labels, cuts)))
    return [batches[r::ranks] for r in range(ranks)]


@pytest.mark.parametrize(
    "scores, labels, expected",
    [
        ((0.1, 0.4, 0.4, 0.8, 0.8, 0.9), (0, 0, 1, 1, 0, 1), 7 / 9),
        ((0.5,) * 4, (0, 1, 0, 1), 0.5),
        ((0.1, 0.4, 0.35, 0.8), (0, 0, 1, 1), 0.75),
        ((0.2, 0.2, 0.2, 0.7, 0.7, 0.9, 0.9, 0.9), (0, 1, 0, 1, 0, 1, 1, 0), 0.65625),
        ((-3.0, -0.0, 0.0, 2.5, -7.0), (0, 1, 0, 1, 1), 3.5 / 6),  # any float is a score
    ],
)
def test_auc_table(scores, labels, expected: float) -> None:
    assert metric("AUC", [(scores, labels)]) == pytest.approx(expected, rel=1e-12)


def test_auc_is_of_the_union_not_a_mean() -> None:
    first, second = ((0.1, 0.4, 0.9), (0, 1, 1)), ((0.3, 0.2, 0.8), (1, 0, 0))
    assert metric("AUC", [first]) == 1.0
    assert metric("AUC", [second]) == 0.5
    assert metric("AUC", [first, second]) == metric("AUC", [first], [second]) == pytest.approx(7 / 9, rel=1e-12)


def test_auc_of_several_labels_is_their_mean() -> None:
    scores, labels = np.array([(0.9, 0.3), (0.2, 0.7), (0.6, 0.7)]), np.array([(1, 0), (0, 1), (1, 0)])
    assert metric("AUC", [(scores, labels)]) == 0.875
    assert metric("AUC", [(scores, labels)], []) == 0.875  # a rank that saw nothing


def test_auc_is_undefined_without_both_classes_or_with_nan() -> None:
    assert math.isnan(metric("AUC", [((0.1, 0.9), (1, 1))]))
    assert math.isnan(metric("AUC", [((0.1, 0.9), (0, 0))], [((0.5,), (0,))]))
    assert math.isnan(metric("AUC", []))
    assert math.isnan(metric("AUC", [((0.1, 0.9), (0, 1))], [((float("nan"),), (0,))]))


@pytest.mark.parametrize("name", ["AUC", "HitRate", "NDCG", "SMAPE", *PROBABILITIES])
def test_samples_without_a_label_do_not_count(name: str) -> None:
    """Labels below -0.5."""
    rng = np.random.default_rng(1)
    scores, labels = rng.random((60, 1)), rng.integers(0, 2, (60, 1))
    gaps = rng.random((60, 1)) < 0.3
    with_gaps = metric(name, [(scores, np.where(gaps, -1, labels))])
    assert with_gaps == pytest.approx(metric(name, [(scores[~gaps], labels[~gaps])]), rel=1e-12)
    assert with_gaps != pytest.approx(metric(name, [(scores, labels)]), rel=1e-3)


def test_auc_of_columns_with_gaps() -> None:
    scores = np.array([(0.9, 0.3), (0.2, 0.7), (0.6, 0.7), (0.1, 0.1)])
    labels = np.array([(1, 0), (0, 1), (1, -1), (-1, 0)])
    assert metric("AUC", [(scores, labels)]) == 1.0


@pytest.mark.parametrize("name", ["AUC", "HitRate", "NDCG", "SMAPE", *PROBABILITIES])
def test_a_prediction_that_is_no_number_makes_no_metric(name: str) -> None:
    assert math.isnan(metric(name, [((0.9, math.nan, 0.95), (0, 1, 1))]))


@pytest.mark.parametrize("ranks", [1, 2, 4])
@pytest.mark.parametrize("digits", [1, 3, 8])  # few digits: many ties
def test_auc_equals_scikit_learn(ranks: int, digits: int) -> None:
    rng = np.random.default_rng(digits)
    labels = (rng.random(20000) < 0.1).astype(np.float32)
    scores = np.round(rng.beta(2 + labels, 5), digits).astype(np.float32)
    assert metric("AUC", *spread(scores, labels, ranks)) == pytest.approx(roc_auc_score(labels, scores), rel=1e-12)


def test_average_loss() -> None:
    def batch(rows: int, loss: float) -> tuple:
        return np.zeros(rows), np.zeros(rows), loss

    assert metric("AverageLoss", [batch(4, 0.6), batch(4, 0.4)], [batch(4, 0.5), batch(4, 0.3)]) == pytest.approx(0.45)
    # A short batch counts by its rows; a rank without rows does not count, whatever its loss.
    assert metric("AverageLoss", [batch(4, 0.5), batch(1, 1.0)], [batch(4, 0.5), batch(0, math.nan)]) == pytest.approx(
        5 / 9
    )


def test_hit_rate_counts_predictions_above_the_cut() -> None:
    scores, labels = (0.81, 0.8, 0.95, 0.85, 0.2, 0.9), (1, 1, 0, 1, 1, 1)
    assert metric("HitRate", [(scores, labels)]) == 0.75
    assert metric("HitRate", [(scores[:3], labels[:3])], [(scores[3:], labels[3:])]) == 0.75
    assert math.isnan(metric("HitRate", [((0.8, 0.1), (1, 1))]))


def test_ndcg_table() -> None:
    scores, labels = (0.9, 0.8, 0.7, 0.6, 0.5), (1, 0, 1, 0, 1)
    assert metric("NDCG", [(scores, labels)]) == pytest.approx(0.8854599, abs=1e-7)
    assert math.isnan(metric("NDCG", [((0.1, 0.2), (0, 0))]))


@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_ndcg_equals_scikit_learn_with_ties(ranks: int) -> None:
    rng = np.random.default_rng(0)
    labels = (rng.random(500) < 0.2).astype(np.float32)
    scores = np.round(rng.random(500), 2).astype(np.float32)
    expected = ndcg_score(labels[None], scores[None])
    assert metric("NDCG", *spread(scores, labels, ranks)) == pytest.approx(expected, rel=1e-12)


def test_smape() -> None:
    assert metric("SMAPE", [((0.9, 0.2), (1, 0))], [((0.5,), (1,))]) == pytest.approx(0.9239766, abs=1e-7)
    assert metric("SMAPE", [((0.0, 1.0), (0, 1))]) == 0.0


@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_metrics_of_probabilities_equal_scikit_learn(ranks: int) -> None:
    rng = np.random.default_rng(2)
    labels = (rng.random(5000) < 0.2).astype(np.float32)
    scores = rng.beta(2 + labels, 5).astype(np.float32)
    share = labels.mean(dtype=np.float64)
    loss, base = log_loss(labels, scores.astype(np.float64)), log_loss(labels, np.full(5000, share))
    parts = spread(scores, labels, ranks)
    assert metric("LogLoss", *parts) == pytest.approx(loss, rel=1e-12)
    assert metric("NormalizedEntropy", *parts) == pytest.approx(loss / base, rel=1e-12)
    calibration = scores.sum(dtype=np.float64) / labels.sum(dtype=np.float64)
    assert metric("Calibration", *parts) == pytest.approx(calibration, rel=1e-12)


@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_normalized_entropy_and_auc_of_several_labels_are_means_over_columns(ranks: int) -> None:
    rng = np.random.default_rng(3)
    labels = (rng.random((600, 3)) < (0.1, 0.5, 0.8)).astype(np.float32)
    scores = rng.random((600, 3)).astype(np.float32)
    labels[::7, 1] = -1  # no label
    for name in ("NormalizedEntropy", "AUC"):
        columns = [metric(name, [(scores[:, c], labels[:, c])]) for c in range(3)]
        assert metric(name, *spread(scores, labels, ranks)) == pytest.approx(np.mean(columns), rel=1e-12)


def grouped_auc(scores: np.ndarray, labels: np.ndarray, groups: np.ndarray) -> float:
    areas, counts = [], []
    for group in np.unique(groups):
        inside = groups == group
        if len(np.unique(labels[inside])) == 2:
            areas.append(roc_auc_score(labels[inside], scores[inside]))
            counts.append(inside.sum())
    return float(np.average(areas, weights=counts))


def gauc(ranks: int, *columns: np.ndarray, groups: np.ndarray) -> float:
    """Of scores and labels, dealt out to ranks in batches."""
    m = _core.testing.Metric("GAUC", ranks)
    for i, part in enumerate(np.array_split(np.arange(len(groups)), 7)):
        m.update(i % ranks, *(matrix(c[part]) for c in columns), groups=groups[part].tolist())
    values = m.values()
    assert all(v == values[0] or math.isnan(v) for v in values)
    m.reset()
    assert math.isnan(m.values()[0])
    return float(values[0])


@pytest.mark.parametrize("ranks", [1, 2, 4])
@pytest.mark.parametrize("digits", [1, 8])  # few digits: many ties
def test_gauc_is_the_mean_area_of_groups_by_their_samples(ranks: int, digits: int) -> None:
    rng = np.random.default_rng(digits)
    groups = rng.zipf(1.5, 5000) % 300 + (rng.integers(0, 2, 5000) << 40)  # keys of more than 32 bits, some once
    labels = (rng.random(5000) < 0.3).astype(np.float32)
    scores = np.round(rng.random(5000) + 0.2 * labels + groups % 7, digits).astype(np.float32)
    expected = grouped_auc(scores, labels, groups)
    assert gauc(ranks, scores, labels, groups=groups) == pytest.approx(expected, rel=1e-12)
    assert expected != pytest.approx(roc_auc_score(labels, scores), abs=0.02)
    negative = -groups  # any key
    assert gauc(ranks, scores, labels, groups=negative) == pytest.approx(expected, rel=1e-12)


def test_gauc_table() -> None:
    scores, labels = np.float32([0.1, 0.9, 0.5, 0.5, 0.2, 0.8, 0.7]), np.float32([0, 1, 0, 1, 1, 1, 0])
    groups = np.array([3, 3, 5, 5, 8, 8, 3])
    assert gauc(1, scores, labels, groups=groups) == pytest.approx((3 * 1.0 + 2 * 0.5) / 5)  # 8 has no negative
    assert math.isnan(gauc(1, scores, labels, groups=np.arange(7)))
    labels[2:4], scores[2] = -1, math.nan  # no label
    assert gauc(1, scores, labels, groups=groups) == 1.0
    groups[1], scores[1] = -(2**63), math.nan  # no group
    assert math.isnan(gauc(1, scores, labels, groups=groups))
    scores[0] = math.nan
    assert math.isnan(gauc(1, scores, labels, groups=groups))


def test_gauc_of_several_labels_is_the_mean_over_columns() -> None:
    rng = np.random.default_rng(3)
    groups, labels = rng.integers(0, 20, 600), (rng.random((600, 2)) < 0.4).astype(np.float32)
    scores = rng.random((600, 2)).astype(np.float32)
    expected = np.mean([grouped_auc(scores[:, c], labels[:, c], groups) for c in range(2)])
    assert gauc(2, scores, labels, groups=groups) == pytest.approx(expected, rel=1e-12)


def test_certain_predictions_have_a_finite_loss() -> None:
    assert metric("LogLoss", [((1.0, 0.0), (1, 0))]) == pytest.approx(2**-23, rel=1e-6)
    assert metric("LogLoss", [((1.0, 0.0), (0, 1))]) == pytest.approx(23 * math.log(2), rel=1e-6)
    assert math.isnan(metric("NormalizedEntropy", [((0.5, 0.5), (1, 1))]))


def test_names_and_order() -> None:
    assert _core.metric_names() == [
        "AUC", "AverageLoss", "HitRate", "NDCG", "SMAPE", "LogLoss", "NormalizedEntropy", "Calibration", "GAUC",
    ]  # fmt: skip
    with pytest.raises(KeyError, match='unknown metric "Auc"; did you mean "AUC"'):
        _core.testing.Metric("Auc")
