# SPDX-License-Identifier: Apache-2.0
"""Compares benchmark results: ``python benchmarks/compare.py BASELINE NEW [NEW ...]``.

Prints new / baseline for each row. With several NEW files (runs of the same thing) the ratio is that of the median,
with the lowest and highest beside it; a row counts as changed when even the nearest run differs by more than 5 %.
"""

from __future__ import annotations

import json
import statistics
import sys
from pathlib import Path

NOISE = 0.05


def rates(path: str) -> dict[str, float]:
    rows = json.loads(Path(path).read_text())["rows"]
    names = ("model", "batch", "optimizer", "precision", "source")
    return {" ".join(str(row[name]) for name in names): row["samples_per_s"] for row in rows}


def main() -> int:
    if len(sys.argv) < 3:
        print(__doc__)
        return 2
    baseline, runs = rates(sys.argv[1]), [rates(path) for path in sys.argv[2:]]
    slower = 0
    for key, before in baseline.items():
        ratios = sorted(run[key] / before for run in runs if key in run)
        if not ratios:
            continue
        verdict = "slower" if ratios[-1] < 1 - NOISE else "faster" if ratios[0] > 1 + NOISE else ""
        slower += verdict == "slower"
        print(f"{key:33} {statistics.median(ratios):6.2f}  [{ratios[0]:.2f}, {ratios[-1]:.2f}]  {verdict}")
    return int(slower > 0)


if __name__ == "__main__":
    sys.exit(main())
