# SPDX-License-Identifier: Apache-2.0
"""The tables that a benchmark prints: a line as soon as its row is measured. Each function returns the rows."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import Any

Row = dict[str, Any]

NO_TORCH = """PyTorch's columns are empty. To fill them: python3 -m venv DIR && DIR/bin/pip install torch numpy
and run again with HUGECTR_TORCH_PYTHON=DIR/bin/python"""


def doing(what: str) -> None:
    """Says on a terminal what is being measured, until the next line of the table takes its place."""
    if sys.stdout.isatty():
        print(f"... {what:60}", end="\r", flush=True)


def _printed(rows: Iterable[Row], line: Callable[[Row], str]) -> list[Row]:
    done = []
    for row in rows:
        print(line(row), flush=True)
        done.append(row)
    return done


def _spread(row: Row, unit: float) -> str:
    return f"[{row['p10'] / unit:.1f}, {row['p90'] / unit:.1f}]"


def _percent(row: Row, key: str) -> str:
    return f"{row[key]:.1%}" if key in row else ""


def machine(about: dict[str, Any], threads: int) -> None:
    print(
        f"{about['cpu']} ({about['family']}), {about['cores']} cores, {about['memory_gib']} GiB, "
        f"{' '.join(about['instructions'])}; {threads} threads"
    )


def ceilings(gemm: dict[str, float]) -> None:
    rates = ", ".join(f"{precision} {rate / 1e9:.0f} GFLOP/s" for precision, rate in gemm.items())
    print(f"\nmatrix products (2048 x 1024 x 1024, best of all ways): {rates}")


def kernels(rows: Iterable[Row]) -> list[Row]:
    group = ""

    def line(row: Row) -> str:
        nonlocal group
        previous, (group, _, what) = group, row["name"].partition(": ")
        heading = f"\n{group:48} {'best':>9} {'median':>9}\n" if group != previous else ""
        return f"{heading}  {what:46} {row['best']:9.1f} {row['median']:9.1f} {row['unit']}"

    return _printed(rows, line)


def readers(rows: Iterable[Row]) -> list[Row]:
    print(f"\n{'reader alone, one core':24} {'M samples/s':>12} {'GB/s':>6} {'ns/sample':>10}")

    def line(row: Row) -> str:
        speed, gigabytes = row["median"] / 1e6, row["bytes_per_s"] / 1e9
        return f"{row['name'].removeprefix('reader '):24} {speed:12.2f} {gigabytes:6.2f} {1e3 / speed:10.0f}"

    return _printed(rows, line)


def training(rows: Iterable[Row], has_torch: bool) -> list[Row]:
    columns = (
        f"{'k/s':>8} {'middle 80 %':>16} {'of GEMM':>8} {'of memory':>9} {'of fp32':>8} {'PyTorch':>8} {'ratio':>6}"
    )
    print(f"\n{'training, samples a second':34} {columns}")
    if not has_torch:
        print(NO_TORCH)

    def line(row: Row) -> str:
        torch = row.get("torch")
        peer = f"{torch['median'] / 1e3:8.1f} {row['of_torch']:6.2f}  {torch['variant']}" if torch else ""
        return (
            f"{row['name'].removeprefix('train '):34} {row['median'] / 1e3:8.1f} {_spread(row, 1e3):>16} "
            f"{_percent(row, 'of_gemm'):>8} {_percent(row, 'of_memory'):>9} {_percent(row, 'of_fp32'):>8} {peer}"
        )

    return _printed(rows, line)


def ranks(rows: Iterable[Row]) -> list[Row]:
    print(f"\n{'ranks that share the threads':34} {'k/s':>8} {'middle 80 %':>16} {'of 1 rank':>9}")

    def line(row: Row) -> str:
        name = row["name"].removeprefix("train ")
        return f"{name:34} {row['median'] / 1e3:8.1f} {_spread(row, 1e3):>16} {_percent(row, 'of_one_rank'):>9}"

    return _printed(rows, line)


def tables(rows: Iterable[Row]) -> list[Row]:
    columns = (
        f"{'step ms':>8} {'gather ms':>9} {'rest to first':>13} {'bytes a row: data':>17} {'loaded':>6} {'grown':>6} "
        f"{'resident':>8}"
    )
    print(f"\n{'DCN, size of the table':24} {columns} {'fill s':>7}")

    def line(row: Row) -> str:
        memory = row["bytes_per_row"]
        return (
            f"{row['name']:24} {row['step_ms']:8.2f} {row['gather_ms']:9.2f} {_percent(row, 'of_first'):>13} "
            f"{memory['row']:17} {memory['loaded']:6.1f} {memory['grown']:6.1f} "
            f"{memory['resident']:8.1f} {row['fill_seconds']:7.1f}"
        )

    return _printed(rows, line)
