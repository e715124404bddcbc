# SPDX-License-Identifier: Apache-2.0
"""What the benchmarks run on: processor, memory, and the rates of single operations."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import measure
import numpy as np

KERNELS = Path(__file__).parents[2] / "build/cpu/benchmarks/hugectr_bench"
CEILING = "matrix product 2048 x 1024 x 1024"
INSTRUCTIONS = ("avx2", "avx512f", "avx512_bf16", "avx512_fp16", "avx512_vnni", "amx_bf16", "amx_fp16")


def description() -> dict[str, Any]:
    """Model, cores, memory and instruction sets as Linux tells them."""
    info: dict[str, str] = {}
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        info.setdefault(name.strip(), value.strip())
    flags = info.get("flags", "").split()
    return {
        "cpu": info.get("model name", platform.processor()),
        "family": f"{info.get('vendor_id', '?')} {info.get('cpu family', '?')}/{info.get('model', '?')}",
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1),
        "caches": info.get("cache size", "?"),
        "instructions": [name for name in INSTRUCTIONS if name in flags],
        "system": platform.platform(),
    }


def revision() -> str:
    """Which code this is, as far as git knows."""
    command = ["git", "describe", "--always", "--dirty"]
    try:
        return subprocess.run(command, cwd=KERNELS.parents[3], capture_output=True, text=True).stdout.strip()
    except OSError:  # no git
        return ""


def kernel_rows(threads: int, seconds: float, *groups: str) -> Iterator[dict[str, Any]]:
    """What hugectr_bench measures, a row as soon as it is there."""
    environment = {**os.environ, "HUGECTR_NUM_THREADS": str(threads), "OMP_NUM_THREADS": str(threads)}
    command = [str(KERNELS), "--json", "--seconds", str(seconds), *groups]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        for line in process.stdout:
            row = json.loads(line)
            rates = [row["work"] / taken for taken in row["seconds"]]
            name = f"{row['group']}: {row['row']}"
            yield {"name": name, "unit": row["unit"], **measure.spread(rates), "best": max(rates)}
    if process.returncode:
        raise SystemExit(f"{KERNELS.name} failed with status {process.returncode}")


def numpy_gemm(seconds: float) -> float:
    """Best fp32 FLOP/s of NumPy at the ceiling's shape."""
    a, b = np.ones((2048, 1024), np.float32), np.ones((1024, 1024), np.float32)
    out = np.empty((2048, 1024), np.float32)
    best, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        np.matmul(a, b, out=out)
        best = min(best, time.perf_counter() - start)
    return 2 * 2048 * 1024 * 1024 / best


def ceilings(rows: list[dict[str, Any]], seconds: float) -> dict[str, float]:
    """FLOP/s that matrix products reach here: the best of oneDNN's entry points, ours and (fp32) NumPy's."""
    best = {"fp32": numpy_gemm(seconds)}
    for row in rows:
        dtype, _, rest = row["name"].partition(" ")
        if rest.startswith(CEILING):
            precision = {"f32": "fp32"}.get(dtype, dtype)
            best[precision] = max(best.get(precision, 0), row["best"] * 1e9)
    return best
