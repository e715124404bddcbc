# SPDX-License-Identifier: Apache-2.0
"""The training benchmark runs and its results compare."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

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
    assert [row["source"] for row in rows] == ["memory", "Norm", "Raw", "Parquet"]
    assert all(row["samples_per_s"] > 0 for row in rows)
    lines = run("compare.py", str(results), str(results)).splitlines()
    assert len(lines) == 4 and all("1.00  [1.00, 1.00]" in line for line in lines)
