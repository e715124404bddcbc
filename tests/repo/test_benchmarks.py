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
    quick = ["--models", "deepfm", "--batches", "128", "--samples", "512", "--seconds", "0.01"]
    mixed = [*(["bf16"] if bf16_instructions() else []), "mixed"]
    quick += ["--precisions", "fp32", *mixed]
    printed = run("train/bench.py", *quick, "--sections", "train", "ranks", "--write", str(results))
    rows = json.loads(results.read_text())["rows"]
    cases = ["fp32 memory", "fp32 Norm", "fp32 Raw", "fp32 Parquet", *(f"{precision} memory" for precision in mixed)]
    trained = [f"train deepfm 128 SGD {case}" for case in cases]
    ranks = [f"train dcn 128 SGD fp32 {n}" for n in ("1 rank", "2 ranks")]
    assert [row["name"] for row in rows] == trained + ranks
    assert all(0 < row["p10"] <= row["median"] <= row["p90"] and row["runs"] >= 5 for row in rows)
    assert all(row["name"].removeprefix("train ") in printed for row in rows)
    assert all(row["of_fp32"] > 0 for row in rows[4 : len(trained)])
    lines = run("compare.py", str(results), str(results)).splitlines()
    assert sum(" 1.00  [" in line for line in lines) == len(rows)
    assert lines[-1] == f"0 faster, 0 slower, {len(rows)} within noise"


def test_readers_and_tables(tmp_path: Path) -> None:
    results = tmp_path / "results.json"
    quick = ["--tables", "52000", "104000", "--optimizers", "Adam", "--samples", "4096", "--seconds", "0.01"]
    run("train/bench.py", "--sections", "readers", "tables", *quick, "--write", str(results))
    rows = {row["name"]: row for row in json.loads(results.read_text())["rows"]}
    assert [f"reader {name}" for name in ("Norm", "Raw", "Parquet", "Arrow alone")] == list(rows)[:4]
    for row in list(rows.values())[4:]:
        memory = row["bytes_per_row"]
        assert memory["row"] == 8 + 3 * 16 * 4
        for moment in ("loaded", "grown"):
            assert memory["row"] < memory[moment] <= memory["row"] + 10


def test_results_of_two_runs_in_one_file(tmp_path: Path) -> None:
    results = tmp_path / "results.json"
    old = {"name": "reader Norm", "median": 1.0}
    other = {"name": "train wdl", "median": 2.0}
    results.write_text(json.dumps({"rows": [other, old], "commands": ["first"], "gemm": {"fp32": 3.0}}))
    run("train/bench.py", "--sections", "readers", "--samples", "4096", "--seconds", "0.01", "--write", str(results))
    merged = json.loads(results.read_text())
    assert merged["rows"][0] == other
    assert [row["name"] for row in merged["rows"]].count("reader Norm") == 1
    assert merged["rows"][1]["name"] == "reader Norm" and merged["rows"][1]["median"] > 1000
    assert merged["commands"][0] == "first" and len(merged["commands"]) == 2
    assert merged["gemm"] == {"fp32": 3.0}
