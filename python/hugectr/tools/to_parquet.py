# SPDX-License-Identifier: Apache-2.0
"""From a data frame or table to a Parquet data set that a model trains on."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from hugectr.arguments import LocalPath, checked
from hugectr.errors import InvalidArgumentError
from hugectr.files import PathLike, naming, sync
from hugectr.tools.columns import Categoricals, Labels, Numerics, categorical_specs, label_rules, numeric_specs
from hugectr.tools.formats import file_list, file_list_line
from hugectr.tools.learners import label_encoder, learn
from hugectr.tools.mappings import Mappings, columns_of
from hugectr.tools.publish import FILE_LIST, publish, working_folder
from hugectr.tools.review import Review
from hugectr.tools.sources import BATCH_ROWS, Source, open_source

ROWS_PER_FILE = 1 << 20
ENCODED_ROWS = 4 * BATCH_ROWS  # at a time: each time costs a pass over all known categories


@dataclass(frozen=True)
class ParquetDataSet:
    """A data set on disk and the mappings that it was written with."""

    path: Path
    files: tuple[Path, ...]
    num_rows: int
    mappings: Mappings

    def __repr__(self) -> str:
        return f"ParquetDataSet({str(self.path)!r}, {self.num_rows} rows in {len(self.files)} files, {self.mappings!r})"

    @property
    def source(self) -> str:
        """The file list: `source` or `eval_source` of DataReaderParams."""
        return str(self.path / FILE_LIST)

    @property
    def label_dim(self) -> int:
        return self.mappings.label_dim

    @property
    def dense_dim(self) -> int:
        return self.mappings.dense_dim

    @property
    def slot_size_array(self) -> list[int]:
        return self.mappings.slot_size_array

    @property
    def nnz_per_slot(self) -> list[int]:
        return self.mappings.nnz_per_slot

    @property
    def column_names(self) -> list[str]:
        return self.mappings.column_names

    def apply(
        self, source: Any, path: PathLike, *, labeled: bool = True, rows_per_file: int = ROWS_PER_FILE
    ) -> ParquetDataSet:
        """Writes another source with the same mappings. Without labels, zeros stand for them."""
        where = "ParquetDataSet.apply"
        return _apply(self.mappings, source, _path(where, path), labeled, _rows(where, rows_per_file))


def to_parquet(
    source: Any,
    path: PathLike,
    *,
    labels: Labels | None = None,
    numeric: Numerics = (),
    categorical: Categoricals = (),
    min_frequency: int = 1,
    mappings: Mappings | ParquetDataSet | PathLike | None = None,
    rows_per_file: int = ROWS_PER_FILE,
) -> ParquetDataSet:
    """Writes a table as a Parquet data set: part_<i>.parquet, _file_list.txt, _metadata.json and mappings.json.

    `source` is a pandas or Polars frame, a pyarrow Table, Dataset or RecordBatchReader, any object with
    `__arrow_c_stream__` or `__dataframe__`, a dict of columns, or the path of a CSV or Parquet file. It is read batch
    by batch, once to learn the mappings and once to write; a stream that can be read only once is kept in a temporary
    file meanwhile.

    `labels`: a column of numbers, several, or {column: rule} with a rule "positive value", {value: label} or
    Threshold(value). `numeric`: columns, {column: scale} or Numeric(...). `categorical`: columns of any type, lists
    included, Categorical(...), Bins(...) or Cross(...); each becomes one slot, in this order, with id 0 for values not
    seen while learning (or fewer than `min_frequency` times) and id 1 for missing ones.

    With `mappings` (of another data set, or the path of its mappings.json) nothing is learned. Raises NotFoundError
    for an unknown column and InvalidArgumentError with column, row and value for data that does not fit; the data set
    that was at `path` then stays, as it does when the process is killed. The parts of one that replaces another are
    numbered on from the old ones, which then go.
    """
    folder, rows = _path("to_parquet", path), _rows("to_parquet", rows_per_file)
    if mappings is not None:
        if labels is not None or numeric or categorical or min_frequency != 1:
            raise InvalidArgumentError(
                "give either mappings or labels, numeric, categorical and min_frequency, not both"
            )
        return _apply(_mappings(mappings), source, folder, True, rows)
    if labels is None:
        raise InvalidArgumentError("labels is missing: name the column, or give mappings")
    label_encoders = tuple(label_encoder(column, rule) for column, rule in label_rules(labels).items())
    numeric_list, categorical_list = numeric_specs(numeric), categorical_specs(categorical, min_frequency)
    wanted = columns_of(label_encoders, numeric_list, categorical_list)
    with open_source(source, wanted, read_twice=True) as opened:
        learned = learn(opened.batches(), numeric_list, categorical_list)
        return _write(opened, folder, Mappings(label_encoders, *learned), True, rows)


def _path(function: str, path: PathLike) -> Path:
    checked_path = checked(function, "path", LocalPath, path)
    if not checked_path:
        raise InvalidArgumentError(f"{function}(): path is empty")
    return Path(checked_path)


def _rows(function: str, rows_per_file: int) -> int:
    rows: int = checked(function, "rows_per_file", int, rows_per_file)
    if rows < 1:
        raise InvalidArgumentError(f"{function}(): rows_per_file must be at least 1, got {rows}")
    return rows


def _mappings(given: Mappings | ParquetDataSet | PathLike) -> Mappings:
    if isinstance(given, ParquetDataSet):
        return given.mappings
    return given if isinstance(given, Mappings) else Mappings.load(checked("to_parquet", "mappings", LocalPath, given))


def _apply(mappings: Mappings, source: Any, path: Path, labeled: bool, rows_per_file: int) -> ParquetDataSet:
    wanted = columns_of(mappings.labels if labeled else (), mappings.numeric, mappings.categorical)
    with open_source(source, wanted, read_twice=False) as opened:
        return _write(opened, path, mappings, labeled, rows_per_file)


def _write(source: Source, path: Path, mappings: Mappings, labeled: bool, rows_per_file: int) -> ParquetDataSet:
    """Writes everything into a folder of its own inside `path` first, so that an error leaves what was there."""
    file_list_line(str(path))
    with working_folder(path) as folder:
        rows = _write_parts(_encoded(source, mappings, labeled), folder, rows_per_file)
        parts = [folder / f"{i}.parquet" for i in range(len(rows))]
        files = publish(parts, path, lambda files: _descriptions(mappings, files, rows))
    return ParquetDataSet(path, files, sum(rows), mappings)


def _descriptions(mappings: Mappings, files: Sequence[Path], rows: Sequence[int]) -> dict[str, bytes]:
    """What stands beside the parts, by name."""
    return {
        "mappings.json": mappings.to_json(),
        "_metadata.json": json.dumps(_metadata(mappings, files, rows), indent=1).encode(),
        FILE_LIST: file_list(files),
    }


def _encoded(source: Source, mappings: Mappings, labeled: bool) -> Iterator[pa.RecordBatch]:
    review = Review(mappings, labeled)
    first_row = 0
    for batch in source.batches(ENCODED_ROWS):
        encoded = mappings.encode(batch, first_row, labeled)
        review.update(batch, encoded)
        yield from (encoded.slice(row, BATCH_ROWS) for row in range(0, batch.num_rows, BATCH_ROWS))
        first_row += batch.num_rows
    review.report()


def _write_parts(batches: Iterable[pa.RecordBatch], folder: Path, rows_per_file: int) -> list[int]:
    """Writes 0.parquet, 1.parquet, ...; returns their row counts."""
    rows: list[int] = []
    with contextlib.ExitStack() as part:
        for batch in batches:
            with naming(f'write in "{folder.parent}"'):
                while batch.num_rows:
                    if not rows or rows[-1] == rows_per_file:
                        part.close()
                        writer = _open_part(folder / f"{len(rows)}.parquet", batch.schema, part)
                        rows.append(0)
                    piece = batch.slice(0, rows_per_file - rows[-1])
                    writer.write_batch(piece)
                    rows[-1] += piece.num_rows
                    batch = batch.slice(piece.num_rows)
        with naming(f'write in "{folder.parent}"'):
            part.close()
    if not rows:
        raise InvalidArgumentError("the source has no rows")
    return rows


def _open_part(path: Path, schema: pa.Schema, closing: contextlib.ExitStack) -> pq.ParquetWriter:
    """A writer that `closing` ends, with the file on the disk."""
    file = closing.enter_context(path.open("wb"))
    closing.callback(sync, file)
    return closing.enter_context(pq.ParquetWriter(file, schema))


def _metadata(mappings: Mappings, files: Sequence[Path], rows: Sequence[int]) -> dict[str, Any]:
    stats = [{"file_name": file.name, "num_rows": count} for file, count in zip(files, rows)]
    columns = [{"col_name": name, "index": index} for index, name in enumerate(mappings.column_names)]
    conts, cats = mappings.label_dim, mappings.label_dim + mappings.dense_dim
    return {"file_stats": stats, "labels": columns[:conts], "conts": columns[conts:cats], "cats": columns[cats:]}
