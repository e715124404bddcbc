# SPDX-License-Identifier: Apache-2.0
"""Test AUC on the Adult data, mean over seeds, for every precision of a GPU beside the CPU's.

    python benchmarks/gpu/adult_auc.py [--seeds 5]

Fails when a mean is more than .002 away from the CPU's.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

EXAMPLES = Path(__file__).parents[2] / "examples"
MIXED = {"use_mixed_precision": True, "scaler": 1024}
RUNS: dict[str, tuple[str, dict[str, Any]]] = {
    "CPU fp32": ("cpu", {}),
    "GPU fp32": ("cuda", {}),
    "GPU TF32": ("cuda", {"enable_tf32_compute": True}),
    "GPU fp16": ("cuda", MIXED),
    "GPU bf16": ("cuda", {**MIXED, "mixed_precision_type": "bf16"}),
}
TOLERANCE = 0.002


def train(name: str, seeds: int, output: Path) -> None:
    """Prints the mean AUC of each model as JSON."""
    sys.path.insert(0, str(EXAMPLES))
    from adult import demo, models, prepare

    data = prepare.prepare(output)
    means = {}
    for model_name in models.ADD_LAYERS:
        total = 0.0
        for seed in range(1, seeds + 1):
            run = demo.Run(model_name)
            demo.train(models.build(model_name, *data, seed, **RUNS[name][1]), data[0], run)
            total += run.aucs[-1] / seeds
        means[model_name] = total
    print(json.dumps(means))


def start(name: str, seeds: int, folder: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "HUGECTR_DEVICE": RUNS[name][0], "HUGECTR_NUM_THREADS": "4"}
    output = str(Path(folder) / name.replace(" ", "-"))
    command = [sys.executable, __file__, "--run", name, "--seeds", str(seeds), "--output", output]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--run", choices=RUNS, help=argparse.SUPPRESS)
    parser.add_argument("--output", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.run:
        train(args.run, args.seeds, args.output)
        return
    with tempfile.TemporaryDirectory() as folder:
        processes = {name: start(name, args.seeds, folder) for name in RUNS}
        results = {name: json.loads(p.communicate()[0].splitlines()[-1]) for name, p in processes.items()}
    print(f"Mean test AUC over {args.seeds} seeds")
    worst = 0.0
    for name, means in results.items():
        worst = max(worst, *(abs(auc - results["CPU fp32"][model]) for model, auc in means.items()))
        print(f"{name}   " + "   ".join(f"{model} {auc:.5f}" for model, auc in means.items()))
    print(f"Largest distance from the CPU: {worst:.5f}")
    if worst > TOLERANCE:
        sys.exit(f"more than {TOLERANCE}")


if __name__ == "__main__":
    main()
