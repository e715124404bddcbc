#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Check that C++ files include only what the architecture allows.

A file includes its own folder and folders of a strictly lower level, and a vendor's headers stay in the files named
here. Prints ``file:line: rule`` for each violation and exits with 1 if there is one.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

LEVELS = {
    "src/base": 0,
    "src/io": 1,
    "src/device": 1,
    "src/kernels": 2,
    "src/comm": 2,
    "src/layers": 3,
    "src/optim": 3,
    "src/data": 3,
    "src/metrics": 3,
    "src/embedding": 4,
    "src/convert": 4,
    "src/model": 5,
    "src/serve": 6,
    "src/cuda": 7,
    "python/bindings": 7,
    "tests/cpp": 8,
    "tests/fuzz": 8,
    "benchmarks": 8,
}

CUDA_FILES = ["*.cu", "*.cuh", "src/device/*"]

# Header pattern -> the files that may include it. The first matching pattern decides.
VENDORS = {
    "fmt/*": ["src/base/*", "benchmarks/*"],
    "omp.h": ["src/kernels/serial_gemm.cc"],
    "nlohmann/json_fwd.hpp": ["src/base/json.h"],
    "nlohmann/*": ["*.cc"],
    "dnnl*": ["src/kernels/serial_gemm.cc", "benchmarks/kernels/gemm.cc"],
    "oneapi/*": ["src/kernels/serial_gemm.cc"],
    "arrow/*": ["src/data/parquet*"],
    "nccl.h": ["src/comm/*"],
    "mpi.h": ["src/comm/*"],
    "cuda*": CUDA_FILES,
    "cublas*": CUDA_FILES,
    "cub/*": CUDA_FILES,
    "cutlass/*": CUDA_FILES,
    "hiredis/*": ["src/serve/redis*"],
    "rocksdb/*": ["src/serve/rocksdb*"],
    "librdkafka/*": ["src/serve/kafka*"],
    "nanobind/*": ["python/bindings/*"],
    "fuzzer/*": ["tests/fuzz/*"],
    "gtest/*": ["tests/cpp/*"],
    "benchmark/*": ["benchmarks/*"],
}
GENERATED = {"build_name.h"}  # by the build
STANDARD = re.compile(r"[a-z_0-9]+")  # <vector>: a C++ standard header has no suffix
SYSTEM = ["sys/*.h", "linux/*.h", "stdio.h", "fcntl.h", "unistd.h", "sched.h", "pthread.h", "dlfcn.h", "*mmintrin.h"]

INCLUDE = re.compile(r'\s*#\s*include\s*([<"])([^>"]+)[>"]')
SUFFIXES = {".h", ".cc", ".cu", ".cuh"}


def folder_of(path: str) -> str | None:
    """The longest entry of LEVELS that holds the file, if any."""
    return max((f for f in LEVELS if path.startswith(f + "/")), key=len, default=None)


def check_own(root: Path, path: str, header: str) -> str | None:
    """The rule that including our own `header` from `path` breaks, if any."""
    if header in GENERATED:
        return None
    folder = folder_of(path) or ""
    target = folder_of(f"src/{header}")
    if not path.startswith("src/") and (root / folder / header).exists():
        return None
    if target is None or not (root / "src" / header).exists():
        return f'"{header}" is not a file below src/ in a folder with a level'
    if target != folder and LEVELS[target] >= LEVELS[folder]:
        return f"{folder} (level {LEVELS[folder]}) must not include {target} (level {LEVELS[target]})"
    return None


def check_vendor(path: str, header: str) -> str | None:
    """The rule that including <header> from `path` breaks, if any."""
    if STANDARD.fullmatch(header) or any(fnmatch(header, s) for s in SYSTEM):
        return None
    for pattern, allowed in VENDORS.items():
        if fnmatch(header, pattern):
            if any(fnmatch(path, a) for a in allowed):
                return None
            return f"<{header}> is allowed in {', '.join(allowed)} only"
    return f"<{header}> is not in the table of vendor headers"


def violations(root: Path) -> Iterator[str]:
    """Every violation below `root` as one line of text."""
    for top in ("src", "python/bindings", "tests", "benchmarks"):
        for file in sorted((root / top).rglob("*")):
            if file.suffix not in SUFFIXES:
                continue
            path = file.relative_to(root).as_posix()
            if folder_of(path) is None:
                yield f"{path}:1: its folder has no level in tools/check_deps.py"
                continue
            for number, line in enumerate(file.read_text().splitlines(), start=1):
                if m := INCLUDE.match(line):
                    quoted = m[1] == '"'
                    rule = check_own(root, path, m[2]) if quoted else check_vendor(path, m[2])
                    if rule:
                        yield f"{path}:{number}: {rule}"


def main() -> int:
    """Command line entry point."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--root", type=Path, default=Path(__file__).resolve().parents[1], help="repository to check")
    found = list(violations(parser.parse_args().root))
    print("\n".join(found) or "include directions: fine")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
