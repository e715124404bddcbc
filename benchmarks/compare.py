# SPDX-License-Identifier: Apache-2.0
"""Compares two results of the same benchmark: ``python benchmarks/compare.py OLD.json NEW.json [--floor 0.03]``.

A line says how fast NEW is relative to OLD, and between which bounds that ratio lies by the noise inside each run: the
slow tenth of one against the fast tenth of the other. A row has become faster or slower when both bounds lie on one
side of 1, and farther from it than the floor, which stands for the difference between two runs of the same code.

Exit status, for CI: 0 when no row has become slower, 1 when one has, 2 when the files cannot be compared.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Change:
    """One row in both results: the speed ratio, its bounds, and what to call it."""

    name: str
    ratio: float
    low: float
    high: float

    def verdict(self, floor: float) -> str:
        if self.high < 1 - floor:
            return "slower"
        return "faster" if self.low > 1 + floor else ""


def speeds(results: dict[str, Any]) -> dict[str, tuple[float, float, float]]:
    """(p10, median, p90) of each row; of a row in milliseconds, one over them."""
    rows = {}
    for row in results["rows"]:
        if "median_ms" in row:
            name = f"{row['name']} {row['variant']}"
            rows[name] = (1 / row["p90_ms"], 1 / row["median_ms"], 1 / row["p10_ms"])
        else:
            rows[row["name"]] = (row["p10"], row["median"], row["p90"])
    return rows


def compare(old: dict[str, Any], new: dict[str, Any]) -> list[Change]:
    """The rows that both have, in the order of the first."""
    before, after = speeds(old), speeds(new)
    changes = []
    for name in [name for name in before if name in after]:
        (slow, median, fast), (new_slow, new_median, new_fast) = before[name], after[name]
        changes.append(Change(name, new_median / median, new_slow / fast, new_fast / slow))
    return changes


def table(changes: list[Change], floor: float) -> str:
    width = max(len(change.name) for change in changes)
    lines = [f"{'new / old':{width}}  ratio          bounds"]
    for c in changes:
        lines.append(f"{c.name:{width}} {c.ratio:6.2f}  [{c.low:5.2f}, {c.high:5.2f}]  {c.verdict(floor)}".rstrip())
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--floor", type=float, default=0.03, help="smallest change that counts")
    options = parser.parse_args()
    try:
        old, new = (json.loads(path.read_text()) for path in (options.old, options.new))
        changes = compare(old, new)
    except (OSError, ValueError, KeyError) as error:
        print(f"cannot compare: {error!r}", file=sys.stderr)
        return 2
    if not changes:
        print("cannot compare: the files have no row in common", file=sys.stderr)
        return 2
    for precision, rate in new.get("gemm", {}).items():
        if precision in old.get("gemm", {}):
            print(f"machine: {precision} matrix products {rate / old['gemm'][precision]:.2f}")
    print(table(changes, options.floor))
    verdicts = [change.verdict(options.floor) for change in changes]
    slower, faster = verdicts.count("slower"), verdicts.count("faster")
    print(f"{faster} faster, {slower} slower, {len(changes) - faster - slower} within noise")
    return int(slower > 0)


if __name__ == "__main__":
    sys.exit(main())
