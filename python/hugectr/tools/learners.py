# SPDX-License-Identifier: Apache-2.0
"""One pass over a source, batch by batch, that finds out what the encoders of its columns need."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from operator import methodcaller
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hugectr.arguments import checked
from hugectr.errors import InvalidArgumentError
from hugectr.tools.arrow import Counter, Floats, flatten_lists, joined_text, spelled, to_float
from hugectr.tools.columns import Bins, Categorical, CategoricalColumn, Cross, LabelRule, Numeric, Threshold, is_finite
from hugectr.tools.encoders import FIRST, Binning, CategoricalEncoder, LabelEncoder, NumericEncoder, Vocabulary
from hugectr.tools.kinds import NUMBER, TEXT, TRUTH, canonical, is_list, kind_of
from hugectr.tools.threads import in_threads

SAMPLE_SIZE = 1 << 20  # quantiles are exact up to this many values, and from a regular sample beyond


def label_encoder(column: str, rule: LabelRule) -> LabelEncoder:
    """The one kind of encoder that needs no learning."""
    if rule is None:
        return LabelEncoder(column)
    if isinstance(rule, Threshold):
        return LabelEncoder(column, threshold=float(rule.value))
    if isinstance(rule, Mapping):
        kinds, values = set(), {}
        for value, label in rule.items():
            text, kind = _rule_value(value, column)
            kinds.add(kind)
            values[text] = _label(label, value, column)
        return LabelEncoder(column, values=values, kind=kinds.pop() if len(kinds) == 1 else TEXT)
    text, kind = _rule_value(rule, column)
    return LabelEncoder(column, positive=text, kind=kind)


class NumericLearner:
    """Mean, deviation and range in one pass (Chan's update)."""

    def __init__(self, spec: Numeric) -> None:
        self._spec = spec
        self._count, self._mean, self._squares = 0, 0.0, 0.0
        self._low, self._high = math.inf, -math.inf

    def update(self, batch: pa.RecordBatch) -> None:
        values = to_float(batch[self._spec.column], self._spec.column)
        values = values[np.isfinite(values)]
        if not len(values):
            return
        self._low, self._high = min(self._low, values.min()), max(self._high, values.max())
        mean, count = float(values.mean()), self._count + len(values)
        delta = mean - self._mean
        with np.errstate(over="ignore", invalid="ignore"):  # finish() notices
            between = np.square(delta) * self._count * len(values) / count
            self._squares += float(np.square(values - mean).sum() + between)
        self._mean += delta * len(values) / count
        self._count = count

    def finish(self) -> NumericEncoder:
        spec = self._spec
        if not self._count and (spec.missing == "mean" or spec.scale in ("standard", "minmax")):
            raise InvalidArgumentError(f'column "{spec.column}": all values are missing')
        missing = self._mean if isinstance(spec.missing, str) else spec.missing
        offset, spread = 0.0, 1.0
        if spec.scale == "standard":
            offset, spread = self._mean, math.sqrt(self._squares / self._count)
        elif spec.scale == "minmax":
            offset, spread = float(self._low), float(self._high) - float(self._low)
        if not math.isfinite(spread):
            raise InvalidArgumentError(
                f'column "{spec.column}": values from {self._low:g} to {self._high:g} are too far apart for scale '
                f'"{spec.scale}"'
            )
        return NumericEncoder(spec.column, offset, 1.0 / spread if spread else 1.0, spec.scale == "log", missing)


class VocabularyLearner:
    """Counts values; ids go by falling frequency, then by text, so that they do not depend on the order of rows."""

    def __init__(self, spec: Categorical | Cross) -> None:
        self._spec = spec
        self._counter = Counter()
        self._is_list = False
        self._longest = 1
        self._kinds = (TEXT,) * len(spec.columns)

    def update(self, batch: pa.RecordBatch) -> None:
        self._kinds = tuple(kind_of(batch[column].type, column) for column in self._spec.columns)
        values = joined_text(batch, self._spec.columns, self._kinds)
        self._is_list = is_list(values.type)
        if self._is_list:
            values, lengths = flatten_lists(values, self._spec.max_length)
            self._longest = max(self._longest, int(lengths.max(initial=0)))
        self._counter.update(values)

    def finish(self) -> Vocabulary:
        spec = self._spec
        values, counts = self._counter.result()
        texts = spelled(values, spec.name, self._kinds[0] if len(self._kinds) == 1 else TEXT)
        # Arrow's threads would wait for ever where the system starts none.
        groups = pa.table({"text": texts, "count": counts}).group_by("text", use_threads=False)
        table = groups.aggregate([("count", "sum")])
        table = table.filter(
            pc.and_(pc.greater_equal(table["count_sum"], spec.min_frequency), table["text"].is_valid())
        )
        order = pc.sort_indices(table, [("count_sum", "descending"), ("text", "ascending")])
        ordered = table["text"].take(order)
        ids = {text: FIRST + i for i, text in enumerate(ordered.to_pylist())}
        nnz, cut = spec.max_length or self._longest, spec.max_length is not None
        return Vocabulary(spec.name, spec.columns, ids, nnz, self._is_list, cut, self._kinds)


class BinsLearner:
    """Quantiles of all values, or of every 2nd, 4th, ... one when there are more than fit."""

    def __init__(self, spec: Bins) -> None:
        self._spec = spec
        self._sample: Floats = np.empty(0)
        self._stride, self._seen = 1, 0

    def update(self, batch: pa.RecordBatch) -> None:
        values = to_float(batch[self._spec.column], self._spec.column)
        values = values[~np.isnan(values)]
        self._sample = np.concatenate([self._sample, values[-self._seen % self._stride :: self._stride]])
        self._seen += len(values)
        while len(self._sample) > SAMPLE_SIZE:
            self._sample = self._sample[::2]
            self._stride *= 2

    def finish(self) -> Binning:
        spec = self._spec
        if not len(self._sample):
            raise InvalidArgumentError(f'column "{spec.column}": all values are missing')
        inner = np.arange(1, spec.count) / spec.count
        boundaries = np.unique(np.quantile(self._sample, inner, method="higher"))
        return Binning(spec.name, spec.column, tuple(boundaries[boundaries > self._sample.min()].tolist()))


def categorical_learner(spec: CategoricalColumn) -> VocabularyLearner | BinsLearner:
    return BinsLearner(spec) if isinstance(spec, Bins) else VocabularyLearner(spec)


def learn(
    batches: Iterable[pa.RecordBatch], numeric: Sequence[Numeric], categorical: Sequence[CategoricalColumn]
) -> tuple[tuple[NumericEncoder, ...], tuple[CategoricalEncoder, ...]]:
    numeric_learners = [NumericLearner(spec) for spec in numeric]
    categorical_learners = [categorical_learner(spec) for spec in categorical]
    for batch in batches:
        in_threads(methodcaller("update", batch), [*numeric_learners, *categorical_learners])
    return tuple(n.finish() for n in numeric_learners), tuple(in_threads(methodcaller("finish"), categorical_learners))


def _rule_value(value: Any, column: str) -> tuple[str, str]:
    """As values of the column are compared, and its kind."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, str):
        return checked("to_parquet", f"labels[{column!r}]", str, value), TEXT
    if isinstance(value, bool):
        return canonical(str(value), TRUTH), TRUTH
    if isinstance(value, (int, float)) and is_finite(value):
        return canonical(str(value), NUMBER), NUMBER
    raise InvalidArgumentError(
        f'label "{column}": a rule is a value of the column (text, a number, a truth value), {{value: label}}, '
        f"Threshold(value) or None, got {value!r}"
    )


def _label(label: Any, value: Any, column: str) -> float:
    if isinstance(label, (bool, int, float, np.number, np.bool_)) and is_finite(label):
        return float(label)
    raise InvalidArgumentError(f'label "{column}": the label of {value!r} must be a finite number, got {label!r}')
