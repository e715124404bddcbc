# SPDX-License-Identifier: Apache-2.0
"""Everything learned about a table: the same for training, testing and serving data, kept in mappings.json."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from operator import methodcaller
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import pyarrow as pa

from hugectr import _core
from hugectr.arguments import LocalPath, Mismatch, checked, convert, short
from hugectr.errors import FileError, InvalidArgumentError
from hugectr.files import PathLike, make_parents, naming, replace_file, require_regular
from hugectr.tools.columns import Bins, CategoricalColumn, Numeric
from hugectr.tools.encoders import FIRST, Binning, CategoricalEncoder, LabelEncoder, NumericEncoder, Vocabulary
from hugectr.tools.kinds import KINDS
from hugectr.tools.threads import in_threads

FORMAT_VERSION = 1

Encoder = TypeVar("Encoder", LabelEncoder, NumericEncoder, Binning, Vocabulary)


@dataclass(frozen=True)
class Mappings:
    """How each column is encoded. Files hold the labels, the numeric columns, then the categorical ones."""

    labels: tuple[LabelEncoder, ...]
    numeric: tuple[NumericEncoder, ...]
    categorical: tuple[CategoricalEncoder, ...]

    def __post_init__(self) -> None:
        names = self.column_names
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise InvalidArgumentError(f'"{twice[0]}" is used twice: a column is a label, numeric or categorical')
        if not self.labels:
            raise InvalidArgumentError("there must be at least one label")

    @property
    def label_dim(self) -> int:
        return len(self.labels)

    @property
    def dense_dim(self) -> int:
        return len(self.numeric)

    @property
    def slot_size_array(self) -> list[int]:
        """For each categorical column, its number of ids: 0 is an unknown value, 1 a missing one."""
        return [column.slot_size for column in self.categorical]

    @property
    def nnz_per_slot(self) -> list[int]:
        """For each categorical column, the longest list of ids."""
        return [column.nnz for column in self.categorical]

    @property
    def column_names(self) -> list[str]:
        return [column.name for column in [*self.labels, *self.numeric, *self.categorical]]

    def encode(self, batch: pa.RecordBatch, first_row: int = 0, labeled: bool = True) -> pa.RecordBatch:
        """A batch as it is written: float32 labels and dense values, int64 ids or lists of ids.

        `first_row` is where the batch stands in its source, for messages. Without labels, zeros stand for them.
        """
        zeros = pa.array([0.0] * batch.num_rows, pa.float32())
        labels = [column.encode(batch, first_row) if labeled else zeros for column in self.labels]
        features = in_threads(methodcaller("encode", batch, first_row), [*self.numeric, *self.categorical])
        return pa.RecordBatch.from_arrays(labels + features, names=self.column_names)

    def __repr__(self) -> str:
        """Without the values: a column may have millions."""
        names = [[column.name for column in group] for group in (self.labels, self.numeric)]
        sizes = {column.name: column.slot_size for column in self.categorical}
        return f"Mappings(labels={short(names[0])}, numeric={short(names[1])}, ids={short(sizes)})"

    def save(self, path: PathLike) -> None:
        """Writes mappings.json."""
        checked_path = checked("Mappings.save", "path", LocalPath, path)
        make_parents(checked_path)
        replace_file(checked_path, [self.to_json()])

    def to_json(self) -> bytes:
        """What mappings.json holds."""
        groups = []
        for group in dataclasses.fields(self):
            lines = [json.dumps(_to_json(column), ensure_ascii=False) for column in getattr(self, group.name)]
            groups.append(f'"{group.name}": [\n' + ",\n".join(lines) + "\n]")
        text = ",\n".join([f'{{"version": {FORMAT_VERSION}', *groups]) + "}\n"
        return text.encode()

    @staticmethod
    def load(path: PathLike) -> Mappings:
        """Reads mappings.json; a folder means the file of that name in it."""
        path = Path(checked("Mappings.load", "path", LocalPath, path))
        path = path / "mappings.json" if os.path.isdir(path) else path
        require_regular(path)
        with naming(f'read "{path}"'):
            _core.recover_files(str(path))
            if not path.exists():
                raise FileError(f'"{path}" does not exist')
            content = path.read_bytes()
        try:
            return _from_document(_parsed(content))
        except (_Damaged, InvalidArgumentError) as error:
            raise FileError(f'"{path}" is not a mappings file: {error}') from error


class _Damaged(Exception):
    """What is wrong with a document."""


def _parsed(content: bytes) -> Any:
    try:
        return json.loads(content.decode(), parse_constant=_reject_constant)
    except UnicodeDecodeError as error:
        raise _Damaged(f"byte {error.start} is not UTF-8") from error
    except json.JSONDecodeError as error:
        raise _Damaged(f"not valid JSON at line {error.lineno}, column {error.colno}") from error
    except RecursionError:
        raise _Damaged("it is nested too deeply") from None
    except ValueError as error:
        if "digits" not in str(error):  # of a signal handler
            raise
        raise _Damaged("a number has too many digits") from error


def _from_document(document: Any) -> Mappings:
    version = _member(document, "version", "the document")
    if version != FORMAT_VERSION:
        raise _Damaged(f"expected version {FORMAT_VERSION}, got {version!r:.60}")
    return Mappings(
        tuple(_from_json(LabelEncoder, *entry) for entry in _entries(document, "labels")),
        tuple(_from_json(NumericEncoder, *entry) for entry in _entries(document, "numeric")),
        tuple(_categorical_from_json(*entry) for entry in _entries(document, "categorical")),
    )


def _member(parent: Any, name: str, where: str) -> Any:
    if not isinstance(parent, dict):
        raise _Damaged(f"{where} must be an object, got {parent!r:.60}")
    if name not in parent:
        raise _Damaged(f'{where} has no "{name}"')
    return parent[name]


def _entries(document: Any, name: str) -> list[tuple[Any, str]]:
    """The entries of a list, each with what it is called in messages."""
    entries = _member(document, name, "the document")
    if not isinstance(entries, list):
        raise _Damaged(f'"{name}" must be a list, got {entries!r:.60}')
    return [(entry, f"{name}[{i}]") for i, entry in enumerate(entries)]


def columns_of(
    labels: Sequence[LabelEncoder],
    numeric: Sequence[Numeric | NumericEncoder],
    categorical: Sequence[CategoricalColumn | CategoricalEncoder],
) -> dict[str, pa.DataType]:
    """The columns that a source must have, and whether they are read as numbers or as text where both are possible."""
    real = [column.name for column in numeric]
    text = [column.name for column in labels if column.is_text]
    real += [column.name for column in labels if not column.is_text]
    for column in categorical:
        (real if isinstance(column, (Bins, Binning)) else text).extend(column.columns)
    return dict.fromkeys(text, pa.string()) | dict.fromkeys(real, pa.float64())


def _to_json(column: Any) -> dict[str, Any]:
    return {field.name: getattr(column, field.name) for field in dataclasses.fields(column) if field.init}


def _from_json(encoder: type[Encoder], entry: Any, where: str) -> Encoder:
    """An encoder whose fields have the types that they are declared with."""
    _member(entry, "name", where)
    hints = get_type_hints(encoder, include_extras=True)
    fields = {field.name: field for field in dataclasses.fields(encoder) if field.init}
    for name, field in fields.items():
        if field.default is dataclasses.MISSING:
            _member(entry, name, where)
    values = {}
    for name, value in entry.items():
        if name not in fields:
            raise _Damaged(f'{where} has an unknown member "{name}"; known: {", ".join(fields)}')
        try:
            values[name] = convert(hints[name], value)
        except Mismatch as mismatch:
            got = repr(mismatch.value)[:60]
            raise _Damaged(f"{where}.{name}{mismatch.path} must be {mismatch.expected}, got {got}") from None
    return encoder(**values)


def _categorical_from_json(entry: Any, where: str) -> CategoricalEncoder:
    if isinstance(entry, dict) and "boundaries" in entry:
        binning = _from_json(Binning, entry, where)
        if list(binning.boundaries) != sorted(binning.boundaries):
            raise _Damaged(f'the boundaries of "{binning.name}" are not ascending')
        return binning
    column = _from_json(Vocabulary, entry, where)
    if sorted(column.ids.values()) != list(range(FIRST, column.slot_size)):
        raise _Damaged(f'the ids of "{column.name}" are not {FIRST}, {FIRST + 1}, ...')
    if column.nnz < 1 or len(column.kinds) != len(column.columns) or not set(column.kinds) <= set(KINDS):
        raise _Damaged(f'the entry of "{column.name}" is damaged')
    return column


def _reject_constant(text: str) -> None:
    raise _Damaged(f"{text} is not a number")
