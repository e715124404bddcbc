# SPDX-License-Identifier: Apache-2.0
"""Speed on this machine: single operations, readers, and training beside PyTorch on the same batches.

    make bench                                       a few minutes
    python benchmarks/train/bench.py --all           everything
    python benchmarks/train/bench.py --sections train --models dcn --seconds 10 --write NEW.json
    python benchmarks/compare.py benchmarks/baselines/NAME.json NEW.json

Rates are medians over slices that the contestants of a line take in turn; the middle 80 % of the slices beside them.
"of GEMM" is the share of the rate that matrix products reach here. bf16 is mixed precision of that type, and autocast
there; mixed is mixed precision in the type that the library chooses.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import machine
import readers
import report
import table_size
import training
import workload
from hugectr import log
from hugectr._core.testing import bf16_instructions

SECTIONS = ("kernels", "readers", "train", "ranks", "tables")
PRECISIONS = ("fp32", "bf16") if bf16_instructions() else ("fp32",)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--all", action="store_true", help="both batch sizes and optimizers, and large tables")
    parser.add_argument("--sections", nargs="+", choices=SECTIONS)
    parser.add_argument("--models", nargs="+", default=list(workload.SHAPES), choices=list(workload.SHAPES))
    parser.add_argument("--batches", nargs="+", type=int, metavar="SIZE")
    parser.add_argument("--optimizers", nargs="+", choices=("SGD", "Adam"))
    parser.add_argument("--precisions", nargs="+", default=PRECISIONS, choices=(*PRECISIONS, "mixed"))
    parser.add_argument("--files", nargs="*", choices=readers.FORMATS, help="formats; the default is all, for fp32 SGD")
    parser.add_argument("--tables", nargs="+", type=int, metavar="ROWS", default=[1_000_000, 50_000_000])
    parser.add_argument("--samples", type=int, help="of a data set, where batches are not larger")
    parser.add_argument("--seconds", type=float, help="for each contestant of a line")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--torch-python", default=os.environ.get("HUGECTR_TORCH_PYTHON"), help="one that has PyTorch")
    parser.add_argument("--write", type=Path, help="JSON file for the results; rows of other runs in it stay")
    options = parser.parse_args()
    options.sections = options.sections or (SECTIONS if options.all else SECTIONS[:-1])
    options.batches = options.batches or ([2048, 16384] if options.all else [2048])
    options.optimizers = options.optimizers or (["SGD", "Adam"] if options.all else ["SGD"])
    options.seconds = options.seconds or (5.0 if options.all else 2.0)
    return options


def ceilings(options: argparse.Namespace, kernels: list[dict[str, Any]]) -> dict[str, float]:
    """The rates that matrix products reach: now, or when the kernels were measured."""
    seconds = options.seconds / 4
    now = list(machine.kernel_rows(options.threads, seconds, "ceiling")) if machine.KERNELS.exists() else []
    return machine.ceilings(kernels + now, seconds)


def train(options: argparse.Namespace, gemm: dict[str, float]) -> Iterator[dict[str, Any]]:
    for case in itertools.product(options.batches, options.optimizers, options.precisions, options.models):
        batch, optimizer, precision, model = case
        formats = options.files
        if formats is None:
            formats = readers.FORMATS if (optimizer, precision) == ("SGD", "fp32") else ()
        setting = training.Case(model, batch, optimizer, precision, options.samples or training.SAMPLES)
        yield from training.rows(
            setting, list(formats), options.seconds, gemm.get(precision), options.torch_python, options.threads
        )


def ranks(options: argparse.Namespace, gemm: dict[str, float]) -> Iterator[dict[str, Any]]:
    for model in options.models if options.all else ["dcn"]:
        case = training.Case(model, options.batches[0], "SGD", "fp32", options.samples or training.SAMPLES)
        yield from training.rank_rows(case, options.seconds, gemm["fp32"])


def tables(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    for optimizer in options.optimizers:
        yield from table_size.rows(
            options.tables, optimizer, options.samples or table_size.SAMPLES, options.seconds, options.threads
        )


def measure_all(options: argparse.Namespace) -> dict[str, Any]:
    """All sections that were asked for, printed as they come."""
    started = time.perf_counter()
    results: dict[str, Any] = {
        "machine": machine.description(),
        "revision": machine.revision(),
        "commands": [" ".join(sys.argv)],
        "threads": options.threads,
    }
    report.machine(results["machine"], options.threads)
    kernels: list[dict[str, Any]] = []
    if "kernels" in options.sections:
        if machine.KERNELS.exists():
            kernels = report.kernels(machine.kernel_rows(options.threads, options.seconds / 10))
        else:
            print(f"\n{machine.KERNELS} is not built (make bench does that): no rates of single operations")
    results["rows"] = rows = list(kernels)
    if "readers" in options.sections:
        rows += report.readers(readers.rows(options.samples or readers.SAMPLES, options.seconds / 2))
    gemm = {}
    if {"train", "ranks"} & set(options.sections):
        results["gemm"] = gemm = ceilings(options, kernels)
        report.ceilings(gemm)
    if "train" in options.sections:
        rows += report.training(train(options, gemm), bool(options.torch_python))
    if "ranks" in options.sections:
        rows += report.ranks(ranks(options, gemm))
    if "tables" in options.sections:
        rows += report.tables(tables(options))
    print(f"\n{time.perf_counter() - started:.0f} s")
    return results


def write(path: Path, results: dict[str, Any]) -> None:
    """Puts the rows into the file, in place of those that it has by the same names."""
    if path.exists():
        before = json.loads(path.read_text())
        measured = {row["name"] for row in results["rows"]}
        results["rows"] = [row for row in before["rows"] if row["name"] not in measured] + results["rows"]
        results["commands"] = before["commands"] + results["commands"]
        results["gemm"] = {**before.get("gemm", {}), **results.get("gemm", {})}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results, indent=1) + "\n")


def main() -> None:
    options = arguments()
    os.environ["HUGECTR_NUM_THREADS"] = str(options.threads)
    with log.redirected(lambda is_error, line: None):
        results = measure_all(options)
    if options.write:
        write(options.write, results)


if __name__ == "__main__":
    main()
