# SPDX-License-Identifier: Apache-2.0
"""Host memory after each of ten calls of fit, by what they do and by what the memory is.

    python benchmarks/gpu/host_memory.py [--fits 10] [--iterations 1000]

Where a number grows from call to call, its column says which mappings do.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))

VARIANTS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {  # options of the solver and of fit
    "train": ({}, {}),
    "train, display": ({}, {"display": 50}),
    "train, evaluate": ({}, {"eval_interval": 100}),
    "without a step graph": ({"use_cuda_graph": False}, {}),
    "epochs": ({"repeat_dataset": False}, {}),
}


def resident() -> dict[str, int]:
    """KiB of this process in memory: heap, stacks, other anonymous mappings, devices, files."""
    sizes: dict[str, int] = {"heap": 0, "stack": 0, "anonymous": 0, "device": 0, "file": 0}
    kind = "file"
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if line.startswith("Rss:"):
            sizes[kind] += int(line.split()[1])
        elif "-" in line.split()[0]:
            name = line.split(maxsplit=5)[5] if len(line.split()) > 5 else ""
            kind = (
                "heap" if name == "[heap]" else "stack" if "stack" in name else "device" if "/dev/" in name
                else "file" if name.startswith("/") else "anonymous"
            )  # fmt: skip
    return {**sizes, "threads": len(os.listdir("/proc/self/task"))}


def run(name: str, fits: int, iterations: int) -> None:
    import numpy as np
    from harness import reference, training
    from harness.reference_optimizers import Optimizer
    from model.small_models import small

    solver, options = VARIANTS[name]
    declaration, random = small("dcn"), np.random.default_rng(1)
    batches = [reference.random_batch(declaration, 64, random) for _ in range(iterations // 10)]
    with tempfile.TemporaryDirectory() as folder:
        source = training.write_norm(Path(folder), declaration, batches)
        model = training.create_model(declaration, Optimizer("Adam"), source, batch_size=64, **solver)
        for fit in range(fits):
            model.fit(**{**dict(max_iter=iterations, num_epochs=10, display=0, eval_interval=0, snapshot=0), **options})
            row = resident()
            print(f"{name:22} {fit:4} " + " ".join(f"{key} {value:7}" for key, value in row.items()), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fits", type=int, default=10)
    parser.add_argument("--iterations", type=int, default=1000)
    parser.add_argument("--only", choices=VARIANTS, help="one variant, in this process")
    arguments = parser.parse_args()
    if arguments.only:
        run(arguments.only, arguments.fits, arguments.iterations)
        return
    numbers = ["--fits", str(arguments.fits), "--iterations", str(arguments.iterations)]
    for name in VARIANTS:
        environment = {**os.environ, "HUGECTR_LOG_LEVEL": "-1"}
        subprocess.run([sys.executable, __file__, "--only", name, *numbers], env=environment, check=True)


if __name__ == "__main__":
    main()
