# SPDX-License-Identifier: Apache-2.0
"""The training benchmark runs and its results compare."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

from hugectr._core.testing import bf16_instructions

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


def run(script: str, *arguments: str) -> str:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, str(BENCHMARKS / script), *arguments]
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout


def test_train(tmp_path: Path) -> None:
    results = tmp_path / "results.json"
    quick = ["--models", "deepfm", "--batches", "64", "--optimizers", "SGD", "--seconds", "0.05"]
    run("train/bench.py", *quick, "--sources", "memory", "Norm", "Raw", "Parquet", "--write", str(results))
    rows = json.loads(results.read_text())["rows"]
    precisions = ["fp32", "bf16"] if bf16_instructions() else ["fp32"]
    sources = ["memory", "Norm", "Raw", "Parquet"]
    assert [(row["precision"], row["source"]) for row in rows] == list(itertools.product(precisions, sources))
    assert all(row["samples_per_s"] > 0 for row in rows)
    lines = run("compare.py", str(results), str(results)).splitlines()
    assert len(lines) == len(rows) and all("1.00  [1.00, 1.00]" in line for line in lines)
