# SPDX-License-Identifier: Apache-2.0
"""Training speed of the four models, ours and PyTorch's in one run on the same batches.

    python benchmarks/train/bench.py [--models wdl dcn] [--batches 2048] [--optimizers SGD] [--torch-python PATH]
                                     [--precisions fp32] [--seconds 5] [--write benchmarks/baselines/NAME.json]

Prints thousand samples per second, the ratio to PyTorch's fastest variant, and the share of the machine's GEMM rate
that the model's matrix products reach. bf16 is use_mixed_precision here and autocast there. Without --torch-python the
PyTorch columns stay empty.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import models
import numpy as np
import sources
import workload
from hugectr._core.testing import bf16_instructions, gemm_seconds

HERE = Path(__file__).parent
PRECISIONS = ["fp32", "bf16"] if bf16_instructions() else ["fp32"]


def gemm_rate(precision: str, threads: int) -> float:
    """Best FLOP/s of a 2048 x 1024 x 1024 product: ours, in fp32 or NumPy's if that is faster."""
    best = gemm_seconds("bf16" if precision == "bf16" else "f32", 2048, 1024, 1024, threads)
    if precision == "fp32":
        a, b = np.ones((2048, 1024), np.float32), np.ones((1024, 1024), np.float32)
        out = np.empty((2048, 1024), np.float32)
        for _ in range(12):
            start = time.perf_counter()
            np.matmul(a, b, out=out)
            best = min(best, time.perf_counter() - start)
    return 2 * 2048 * 1024 * 1024 / best


def ours(
    name: str,
    size: int,
    optimizer: str,
    precision: str,
    data_set: tuple[str, dict[str, Any]],
    passes: int,
    seconds: float,
    from_memory: bool,
) -> float:
    """Samples per second, from batches held in memory or through the reader. The first passes insert every key."""
    source, reader = data_set
    mixed = {"use_mixed_precision": True, "scaler": 1024} if precision == "bf16" else {}
    model = models.create(name, source, reader, size, optimizer, **mixed)
    model.start_data_reading()

    def seconds_of(steps: int) -> float:
        if from_memory:
            return model._engine.time_steps(passes, steps)
        start = time.perf_counter()
        for _ in range(steps):
            model.train()
        return time.perf_counter() - start

    seconds_of(2 * passes)
    return workload.median_rate(seconds_of, size, seconds)


def torch_peer(
    python: str, name: str, size: int, optimizer: str, precision: str, seconds: float, threads: int
) -> dict[str, float]:
    script = str(HERE / "torch_models.py")
    command = [python, script, name, str(size), optimizer, precision, str(seconds), str(threads)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout)


def machine() -> dict[str, Any]:
    names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return {
        "cpu": names[0].split(":")[1].strip() if names else platform.processor(),
        "cores": os.cpu_count(),
        "platform": platform.platform(),
        "python": platform.python_version(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=list(workload.SHAPES), choices=list(workload.SHAPES))
    parser.add_argument("--batches", nargs="+", type=int, default=[2048, 16384])
    parser.add_argument("--optimizers", nargs="+", default=["SGD", "Adam"], choices=["SGD", "Adam"])
    parser.add_argument("--precisions", nargs="+", default=PRECISIONS, choices=["fp32", "bf16"])
    parser.add_argument("--sources", nargs="+", default=["memory"], choices=["memory", "Norm", "Raw", "Parquet"])
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--torch-python", default=os.environ.get("HUGECTR_TORCH_PYTHON"))
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    os.environ["HUGECTR_NUM_THREADS"] = str(options.threads)

    gemm = {precision: gemm_rate(precision, options.threads) for precision in options.precisions}
    for precision, rate in gemm.items():
        print(f"{precision} GEMM 2048 x 1024 x 1024: {rate / 1e9:.0f} GFLOP/s")
    print("model     batch opt   type source    ours k/s torch k/s  ratio  of GEMM  variant")
    rows = []
    for size in options.batches:
        data = workload.batches(size)
        with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
            formats = {source: "Norm" if source == "memory" else source for source in options.sources}
            sets = {f: sources.write(f, Path(folder) / f, data) for f in set(formats.values())}
            for case in itertools.product(options.models, options.optimizers, options.precisions):
                name, optimizer, precision = case
                peer = {}
                if options.torch_python:
                    peer = torch_peer(
                        options.torch_python, name, size, optimizer, precision, options.seconds, options.threads
                    )
                for source, format in formats.items():
                    rate = ours(
                        name, size, optimizer, precision, sets[format], len(data), options.seconds, source == "memory"
                    )
                    share = rate * workload.flops(name) / gemm[precision]
                    rows.append(
                        {
                            "model": name,
                            "batch": size,
                            "optimizer": optimizer,
                            "precision": precision,
                            "source": source,
                            "samples_per_s": rate,
                            "gemm_share": share,
                            "torch": peer,
                        }
                    )
                    show(rows[-1])
    if options.write:
        result = {
            "machine": machine(),
            "command": " ".join(sys.argv),
            "threads": options.threads,
            "gemm": gemm,
            "rows": rows,
        }
        options.write.parent.mkdir(parents=True, exist_ok=True)
        options.write.write_text(json.dumps(result, indent=1) + "\n")


def show(row: dict[str, Any]) -> None:
    variant, peer = max(row["torch"].items() or [("", float("nan"))], key=lambda item: item[1])
    print(
        f"{row['model']:8} {row['batch']:6} {row['optimizer']:5} {row['precision']} {row['source']:8} "
        f"{row['samples_per_s'] / 1e3:9.1f} {peer / 1e3:9.1f} {row['samples_per_s'] / peer:6.2f} "
        f"{row['gemm_share']:8.0%}  {variant}",
        flush=True,
    )


if __name__ == "__main__":
    main()
