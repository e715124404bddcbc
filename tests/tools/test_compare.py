# SPDX-License-Identifier: Apache-2.0
"""benchmarks/compare.py: ratios, noise bounds and exit status."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "compare.py"


def row(median: float, noise: float = 0.02, name: str = "train") -> dict[str, Any]:
    return {"name": name, "median": median, "p10": median * (1 - noise), "p90": median * (1 + noise), "runs": 10}


def compare(folder: Path, old: Any, new: Any, *options: str) -> subprocess.CompletedProcess[str]:
    for name, content in (("old", old), ("new", new)):
        text = content if isinstance(content, str) else json.dumps(content)
        (folder / f"{name}.json").write_text(text)
    files = [str(folder / "old.json"), str(folder / "new.json")]
    return subprocess.run([sys.executable, str(SCRIPT), *files, *options], capture_output=True, text=True)


@pytest.mark.parametrize(
    ("new", "line", "status"),
    [
        (row(100), "train   1.00  [ 0.96,  1.04]", 0),
        (row(104), "train   1.04  [ 1.00,  1.08]", 0),  # inside the noise
        (row(106), "train   1.06  [ 1.02,  1.10]", 0),  # outside of it, below the floor
        (row(110), "train   1.10  [ 1.06,  1.14]  faster", 0),
        (row(90), "train   0.90  [ 0.86,  0.94]  slower", 1),
        (row(90, noise=0.2), "train   0.90  [ 0.71,  1.10]", 0),  # so noisy that nothing can be said
    ],
)
def test_verdict(tmp_path: Path, new: dict[str, Any], line: str, status: int) -> None:
    result = compare(tmp_path, {"rows": [row(100)]}, {"rows": [new]})
    assert line in result.stdout.splitlines()
    assert result.returncode == status, result.stderr


def test_floor(tmp_path: Path) -> None:
    old, new = {"rows": [row(100)]}, {"rows": [row(90)]}
    assert compare(tmp_path, old, new, "--floor", "0.1").returncode == 0
    assert compare(tmp_path, old, new, "--floor", "0.01").returncode == 1


def test_times_and_missing_rows(tmp_path: Path) -> None:
    """Rows of the GPU benchmark are times, and a row that one file lacks is left out."""
    step = {"name": "step", "variant": "ours", "median_ms": 2.0, "p10_ms": 1.9, "p90_ms": 2.1}
    faster = {**step, "median_ms": 1.0, "p10_ms": 0.95, "p90_ms": 1.05}
    result = compare(
        tmp_path,
        {"rows": [step, row(1, name="gone")], "gemm": {"fp32": 100}},
        {"rows": [row(1, name="added"), faster], "gemm": {"fp32": 99}},
    )
    assert result.stdout.splitlines() == [
        "machine: fp32 matrix products 0.99",
        "new / old  ratio          bounds",
        "step ours   2.00  [ 1.81,  2.21]  faster",
        "1 faster, 0 slower, 0 within noise",
    ]


@pytest.mark.parametrize("new", ["no JSON", {"rows": []}, {"rows": [{"name": "train"}]}])
def test_unusable_file(tmp_path: Path, new: Any) -> None:
    result = compare(tmp_path, {"rows": [row(100)]}, new)
    assert result.returncode == 2
    assert "cannot compare" in result.stderr
