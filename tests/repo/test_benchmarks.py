# SPDX-License-Identifier: Apache-2.0
"""The training benchmark runs and its results compare."""

from __future__ import annotations

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
    quick = ["--models", "deepfm", "--batches", "1024", "--optimizers", "SGD", "--seconds", "0.05"]
    formats = ["Norm", "Raw", "Parquet"]
    printed = run(
        "train/bench.py", *quick, "--sections", "train", "ranks", "--files", *formats, "--write", str(results)
    )
    rows = json.loads(results.read_text())["rows"]
    precisions = ["fp32", "bf16"] if bf16_instructions() else ["fp32"]
    trained = [f"train deepfm 1024 SGD {p} {source}" for p in precisions for source in ["memory", *formats]]
    ranks = [f"train dcn 1024 SGD fp32 {n}" for n in ("1 rank", "2 ranks")]
    assert [row["name"] for row in rows] == trained + ranks
    assert all(0 < row["p10"] <= row["median"] <= row["p90"] and row["runs"] >= 5 for row in rows)
    assert all(row["name"].removeprefix("train ") in printed for row in rows)
    lines = run("compare.py", str(results), str(results)).splitlines()
    assert sum(" 1.00  [" in line for line in lines) == len(rows)
    assert lines[-1] == f"0 faster, 0 slower, {len(rows)} within noise"


def test_readers_and_tables(tmp_path: Path) -> None:
    results = tmp_path / "results.json"
    tables = ["--tables", "2600", "26000", "--optimizers", "Adam"]
    run("train/bench.py", "--sections", "readers", "tables", *tables, "--seconds", "0.05", "--write", str(results))
    rows = {row["name"]: row for row in json.loads(results.read_text())["rows"]}
    assert [f"reader {name}" for name in ("Norm", "Raw", "Parquet", "Arrow alone")] == list(rows)[:4]
    for row in list(rows.values())[4:]:
        memory = row["bytes_per_row"]
        assert memory["row"] == 8 + 3 * 16 * 4
        assert memory["row"] < memory["table"] <= memory["row"] + 8
