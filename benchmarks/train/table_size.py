# SPDX-License-Identifier: Apache-2.0
"""The same DCN over a small and a large table with a row for every key: what the size of a table costs.

A step of the large table may take longer only by what a bare gather of its rows takes longer. Keys follow the power
law over the whole table. The table is filled through load_sparse_weights, but for the keys of the first batch: the
first step adds those, and the table has grown.
"""

from __future__ import annotations

import ctypes
import itertools
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import measure
import models
import numpy as np
import report
import sources
import training
import workload
from numpy.typing import NDArray

DIM, BATCH = 16, 2048
SAMPLES = 128 * BATCH  # have more rows than a cache holds
ROW = {"SGD": 8 + DIM * 4, "Adam": 8 + 3 * DIM * 4}  # bytes of key, vector and states


def resident_bytes() -> int:
    """Memory of this process that lies in RAM, without what its allocator keeps for later."""
    ctypes.CDLL(None).malloc_trim(0)
    fields = Path("/proc/self/statm").read_text().split()
    return int(fields[1]) * 4096


class BigTable:
    """A DCN whose embedding has ``keys`` rows, and the same vectors as one array for the bare gather."""

    def __init__(self, keys: int, optimizer: str, samples: int, folder: Path) -> None:
        slot_size = keys // workload.SLOTS
        self.rows = slot_size * workload.SLOTS
        self.batches = workload.batches(BATCH, slot_size=slot_size, count=max(1, samples // BATCH))
        folder.mkdir()
        source, reader = sources.write("Norm", folder / "data", self.batches)
        self._model = models.create("dcn", source, reader, BATCH, optimizer, keys=keys)
        model = folder / "embedding.model"
        model.mkdir()
        keys = np.delete(np.arange(self.rows), np.unique(self.batches[0].keys))
        keys.tofile(model / "key")
        with open(model / "emb_vector", "wb") as file:
            file.truncate(len(keys) * DIM * 4)  # a hole: zeros that take no memory
        before = resident_bytes()
        start = time.perf_counter()
        self._model.load_sparse_weights([str(model)])
        self.fill_seconds = time.perf_counter() - start
        self.bytes_per_row = {
            "row": ROW[optimizer],
            "loaded": self._model._engine.embedding_bytes(0) / len(keys),
            "resident": (resident_bytes() - before) / len(keys),
        }
        self._model.start_data_reading()
        self.step(1)
        self.bytes_per_row["grown"] = self._model._engine.embedding_bytes(0) / self.rows

    def step(self, steps: int) -> float:
        return float(self._model._engine.time_steps(len(self.batches), steps))


class Gather:
    """Copies the rows of each batch out of an array, without lookup: as many and as scattered as the model's."""

    def __init__(self, rows: int, batches: list[workload.Batch], threads: int) -> None:
        self._table = np.empty((rows, DIM), np.float32)
        self._table[:] = 1  # takes the memory
        shares = [np.array_split(b.keys.ravel(), threads) for b in batches]
        self._batches = itertools.cycle(shares)
        self._out = [np.empty((len(share), DIM), np.float32) for share in shares[0]]
        self._pool = ThreadPoolExecutor(threads)

    def _take(self, keys: NDArray[np.int64], out: NDArray[np.float32]) -> None:
        np.take(self._table, keys, axis=0, out=out, mode="clip")

    def __call__(self, steps: int) -> float:
        start = time.perf_counter()
        for shares in itertools.islice(self._batches, steps):
            list(self._pool.map(self._take, shares, self._out))
        return time.perf_counter() - start


def rows(sizes: list[int], optimizer: str, samples: int, seconds: float, threads: int) -> Iterator[dict[str, Any]]:
    """A row for each size; the second one says how its step compares with the first one's."""
    report.doing(f"tables of {sizes} rows")
    with training.folder_in_memory() as folder:
        tables = [BigTable(size, optimizer, samples, folder / str(i)) for i, size in enumerate(sizes)]
        steps = measure.in_turn([table.step for table in tables], seconds)
    gathers = [measure.in_turn([Gather(table.rows, table.batches, threads)], 1.0)[0] for table in tables]
    net = [1 / np.median(s) - 1 / np.median(g) for s, g in zip(steps, gathers)]
    for i, table in enumerate(tables):
        yield {
            "name": f"table of {sizes[i] / 1e6:g} M rows, {optimizer}",
            "unit": "samples/s",
            **measure.spread([rate * BATCH for rate in steps[i]]),
            "step_ms": 1e3 / np.median(steps[i]),
            "gather_ms": 1e3 / np.median(gathers[i]),
            "of_first": net[i] / net[0],
            "fill_seconds": table.fill_seconds,
            "bytes_per_row": table.bytes_per_row,
        }
