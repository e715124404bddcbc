# SPDX-License-Identifier: Apache-2.0
"""Warnings about a table that can be encoded but looks wrong."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hugectr import _core
from hugectr.tools.encoders import MISSING, UNKNOWN, LabelEncoder, Vocabulary
from hugectr.tools.kinds import is_list
from hugectr.tools.mappings import Mappings

SAMPLES = 3  # values named in a warning


class Review:
    """Watches batches being encoded and says at the end what is odd about the whole table."""

    def __init__(self, mappings: Mappings, labeled: bool) -> None:
        labels = [_Positives(column) for column in mappings.labels if labeled and column.positive is not None]
        categories = [_Unknown(column) for column in mappings.categorical if isinstance(column, Vocabulary)]
        self._columns: list[_Positives | _Unknown] = [*labels, *categories]

    def update(self, source: pa.RecordBatch, encoded: pa.RecordBatch) -> None:
        for column in self._columns:
            column.update(source, encoded)

    def report(self) -> None:
        for column in self._columns:
            if problem := column.problem():
                _core.log_warning(problem)


class _Positives:
    def __init__(self, label: LabelEncoder) -> None:
        self._label, self._found = label, False

    def update(self, _: pa.RecordBatch, encoded: pa.RecordBatch) -> None:
        self._found |= bool(encoded[self._label.name].to_numpy().any())

    def problem(self) -> str:
        name, value = self._label.name, self._label.positive
        return "" if self._found else f'label "{name}": no row has the value {value!r}, so all labels are 0'


class _Unknown:
    def __init__(self, column: Vocabulary) -> None:
        self._column = column
        self._present, self._unknown = 0, 0
        self._samples: list[Any] = []

    def update(self, source: pa.RecordBatch, encoded: pa.RecordBatch) -> None:
        ids = encoded[self._column.name]
        rows = pc.list_parent_indices(ids).to_numpy() if is_list(ids.type) else np.arange(len(ids))
        flat = (ids.flatten() if is_list(ids.type) else ids).to_numpy()
        self._present += int((flat != MISSING).sum())
        unknown = np.flatnonzero(flat == UNKNOWN)
        self._unknown += len(unknown)
        for row in rows[unknown[: SAMPLES - len(self._samples)]]:
            values = [source[name][int(row)].as_py() for name in self._column.columns]
            self._samples.append(values[0] if len(values) == 1 else tuple(values))

    def problem(self) -> str:
        if self._unknown * 2 <= self._present:
            return ""
        return (
            f'column "{self._column.name}": {self._unknown} of {self._present} values are unknown to the mappings, '
            f"for example {', '.join(map(repr, self._samples))}"
        )
