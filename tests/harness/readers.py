# SPDX-License-Identifier: Apache-2.0
"""Reading data sets through the native readers, without a model."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from hugectr._core import testing
from hugectr.arrow import open_stream
from hugectr.tools import write_file_list

Batch = dict[str, Any]
Input = tuple[str, Sequence[int]]


def make_reader(format: str, source: Any, sparse: Sequence[Any], **fields: Any) -> testing.Reader:
    """`sparse`: (name, nnz_per_slot[, is_fixed_length]) of each input; `fields`: the rest of the ReaderSpec."""
    spec = testing.ReaderSpec()
    spec.format = getattr(testing.DataFormat, format)
    spec.source = str(source)
    spec.sparse = [testing.SparseInputSpec(*entry) for entry in sparse]
    values = {"batch_size": 2, "repeat": False, "num_workers": 1, **fields}
    if format == "parquet":
        values.setdefault("open_arrow", open_stream)
    for name, value in values.items():
        setattr(spec, name, value)
    return testing.Reader(spec)


def batches(reader: testing.Reader, limit: int | None = None) -> Iterator[Batch]:
    """The batches after a start, to the end of the data or `limit` of them."""
    reader.start()
    while limit is None or limit > 0:
        batch = reader.next()
        if batch is None:
            return
        yield batch
        limit = None if limit is None else limit - 1


def samples(batch: Batch) -> list[tuple[list[float], list[float], list[list[list[int]]]]]:
    """(labels, dense, per input the keys of each slot) of the valid samples. Checks that the rest is padding."""
    size, capacity = batch["size"], len(batch["labels"])
    rows = []
    assert not batch["labels"][size:].any() and not batch["dense"][size:].any()
    for offsets, keys in batch["sparse"]:
        slots = (len(offsets) - 1) // capacity
        assert offsets[0] == 0 and (offsets[size * slots :] == len(keys)).all() and (np.diff(offsets) >= 0).all()
    for i in range(size):
        inputs = []
        for offsets, keys in batch["sparse"]:
            slots = (len(offsets) - 1) // capacity
            inputs.append([keys[offsets[r] : offsets[r + 1]].tolist() for r in range(i * slots, (i + 1) * slots)])
        rows.append((batch["labels"][i].tolist(), batch["dense"][i].tolist(), inputs))
    return rows


def read_all(reader: testing.Reader) -> list[Any]:
    return [row for batch in batches(reader) for row in samples(batch)]


def write_files(folder: Path, contents: dict[str, bytes], name: str = "list.txt") -> Path:
    """Writes files and the list that names them."""
    for file, content in contents.items():
        (folder / file).write_bytes(content)
    write_file_list(folder / name, [folder / file for file in contents])
    return folder / name


def write_parquet(
    folder: Path, tables: Sequence[pa.Table], groups: dict[str, Sequence[int]], **write_options: Any
) -> Path:
    """Writes part_<i>.parquet, _metadata.json and the list. `groups`: column positions of labels, conts, cats."""
    folder.mkdir(exist_ok=True)
    files = [folder / f"part_{i}.parquet" for i in range(len(tables))]
    for file, table in zip(files, tables):
        pq.write_table(table, file, **write_options)
    names = tables[0].column_names
    metadata = {
        "file_stats": [{"file_name": f.name, "num_rows": t.num_rows} for f, t in zip(files, tables)],
        **{
            key: [{"col_name": names[i] if i < len(names) else "", "index": i} for i in groups.get(key, ())]
            for key in ("labels", "conts", "cats")
        },
    }
    (folder / "_metadata.json").write_text(json.dumps(metadata))
    write_file_list(folder / "list.txt", files)
    return folder / "list.txt"
