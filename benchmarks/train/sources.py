# SPDX-License-Identifier: Apache-2.0
"""The benchmark's batches as data sets of each format the library reads."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import hugectr
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import workload
from hugectr.tools.formats import write_file_list, write_norm, write_raw

MEMORY = "/dev/shm" if os.path.isdir("/dev/shm") else None  # folder of files that need no disk; None: the default


def write(format: str, folder: Path, data: list[workload.Batch]) -> tuple[str, dict[str, Any]]:
    """Writes the data set; returns its source and the reader arguments of its format ("Norm", "Raw" or "Parquet")."""
    label, dense, keys = (np.concatenate([getattr(b, part) for b in data]) for part in ("label", "dense", "keys"))
    reader = {"data_reader_type": getattr(hugectr.DataReaderType_t, format), "num_workers": 1}
    folder.mkdir()
    if format == "Raw":
        write_raw(folder / "train.bin", label, dense, keys, float_label_dense=True)
        samples = {"num_samples": len(label), "eval_num_samples": len(label)}
        return str(folder / "train.bin"), {**reader, **samples, "float_label_dense": True}
    file = folder / ("train.parquet" if format == "Parquet" else "train.data")
    if format == "Norm":
        write_norm(file, label, dense, list(keys[:, :, None].transpose(1, 0, 2)), check_sum=False)
    else:
        _write_parquet(file, label, dense, keys)
    write_file_list(folder / "list.txt", [file])
    return str(folder / "list.txt"), reader


def _write_parquet(file: Path, label: np.ndarray, dense: np.ndarray, keys: np.ndarray) -> None:
    columns = {
        "label": label,
        **{f"I{i}": c for i, c in enumerate(dense.T)},
        **{f"C{i}": c for i, c in enumerate(keys.T)},
    }
    pq.write_table(pa.table({name: np.ascontiguousarray(c) for name, c in columns.items()}), file)
    entries = [{"col_name": name, "index": i} for i, name in enumerate(columns)]
    split = 1 + workload.DENSE
    stats = [{"file_name": file.name, "num_rows": len(label)}]
    parts = {"file_stats": stats, "labels": entries[:1], "conts": entries[1:split], "cats": entries[split:]}
    (file.parent / "_metadata.json").write_text(json.dumps(parts))
