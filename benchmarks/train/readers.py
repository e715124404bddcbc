# SPDX-License-Identifier: Apache-2.0
"""Readers alone: what a batch costs before anything is trained on it, beside Arrow's bare read of the Parquet file."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import measure
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import report
import sources
import workload
from hugectr import arrow
from hugectr._core import testing

SAMPLES, BATCH = 131072, 2048
FORMATS = ("Norm", "Raw", "Parquet")


def reader_of(format: str, source: str) -> testing.Reader:
    """One pass over a data set of :mod:`sources` by one worker."""
    spec = testing.ReaderSpec()
    spec.format = getattr(testing.DataFormat, format.lower())
    spec.source = source
    spec.batch_size, spec.label_dim, spec.dense_dim = BATCH, 1, workload.DENSE
    spec.sparse = [testing.SparseInputSpec("data", [1] * workload.SLOTS, True)]
    spec.repeat, spec.num_workers, spec.float_label_dense = False, 1, True
    spec.i64_keys = format == "Parquet"
    spec.open_arrow = arrow.open_stream if format == "Parquet" else None
    return testing.Reader(spec)


def bare_arrow(path: str) -> Callable[[], None]:
    """The faster of Arrow's two ways through a file, on one thread."""

    def scan() -> None:
        for _ in ds.dataset(path).scanner(batch_size=65536, use_threads=False).to_reader():
            pass

    def iterate() -> None:
        for _ in pq.ParquetFile(path).iter_batches(batch_size=65536, use_threads=False):
            pass

    return min((scan, iterate), key=lambda read: min(cpu_seconds(read) for _ in range(3)))


def cpu_seconds(run: Callable[[], Any]) -> float:
    """Processor time of all threads: what the cores cannot spend on training meanwhile."""
    start = time.process_time()
    run()
    return time.process_time() - start


def rows(samples: int, seconds: float) -> Iterator[dict[str, Any]]:
    """Samples a second of one core, for each format and for Arrow alone."""
    report.doing("writing files")
    data = workload.batches(samples, count=1)
    with tempfile.TemporaryDirectory(dir=sources.MEMORY) as folder:
        readers: dict[str, tuple[Callable[[], Any], str]] = {}
        for format in FORMATS:
            source, _ = sources.write(format, Path(folder) / format, data)
            reader = reader_of(format, source)

            def read(reader: testing.Reader = reader) -> None:
                reader.start()
                assert reader.count() == samples

            file = source if format == "Raw" else Path(source).read_text().split()[1]
            readers[format] = read, file
        readers["Arrow alone"] = bare_arrow(file), file
        for name, (read, file) in readers.items():
            read()
            passes = [cpu_seconds(read) for _ in range(max(measure.MIN_SLICES, int(seconds / cpu_seconds(read))))]
            rate = measure.spread([samples / taken for taken in passes])
            yield {
                "name": f"reader {name}",
                "unit": "samples/s a core",
                **rate,
                "bytes_per_s": rate["median"] * Path(file).stat().st_size / samples,
            }
