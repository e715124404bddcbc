#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Print the sizes of files and functions against their budgets; fail only when a file passes the hard stop."""

from __future__ import annotations

import argparse
import ast
import re
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

MEDIAN, MOST, HARD_STOP = 120, 350, 600  # lines of a file: median, 90th percentile, any
FUNCTION = 60  # lines of a function
FOLDERS = ("src", "python", "tests", "tools", "benchmarks", "examples")
CPP = {".h", ".cc", ".cu", ".cuh"}


class Span(NamedTuple):
    """A file or a function and its length in lines."""

    where: str
    lines: int


def python_functions(path: str, text: str) -> Iterator[Span]:
    """Functions of a Python file, without their docstrings."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            docstring = ast.get_docstring(node, clean=False)
            documentation = docstring.count("\n") + 1 if docstring else 0
            lines = (node.end_lineno or node.lineno) - node.lineno + 1 - documentation
            yield Span(f"{path}:{node.lineno} {node.name}", lines)


NOT_CODE = re.compile(r"//[^\n]*|/\*.*?\*/|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])+'|^[ \t]*#[^\n]*", re.S | re.M)
CONTAINER = re.compile(r"\b(namespace|class|struct|union|enum)\b[^()=]*$|\bextern\s*$")


def cpp_functions(path: str, text: str) -> Iterator[Span]:
    """Outermost functions of a C++ file, told apart from other braces by how formatted code looks."""
    text = NOT_CODE.sub(lambda m: "\n" * m[0].count("\n"), text)
    blocks: list[tuple[str, int, str]] = []  # kind, first line, header
    start = 0
    for m in re.finditer(r"[;{}]", text):
        header = text[start : m.start()]
        start = m.end()
        if m[0] == "{":
            first = text.count("\n", 0, m.start() - len(header.lstrip())) + 1
            inside = any(kind != "container" for kind, _, _ in blocks)
            is_body = header.endswith((" ", "\n")) and ")" in header and not re.search(r"=\s*$", header)
            kind = "container" if CONTAINER.search(header) else "function" if is_body and not inside else "other"
            blocks.append((kind, first, header))
        elif m[0] == "}" and blocks:
            kind, first, header = blocks.pop()
            if kind == "function":
                name = re.search(r"([\w:~]+|operator\W+)\s*\(", header)
                yield Span(f"{path}:{first} {name[1] if name else '?'}", text.count("\n", 0, m.start()) + 2 - first)


def measure(root: Path) -> tuple[list[Span], list[Span]]:
    """All files and all functions below the folders of source code."""
    files: list[Span] = []
    functions: list[Span] = []
    for folder in FOLDERS:
        for file in sorted((root / folder).rglob("*")):
            if file.suffix != ".py" and file.suffix not in CPP:
                continue
            path, text = file.relative_to(root).as_posix(), file.read_text()
            files.append(Span(path, text.count("\n")))
            functions += python_functions(path, text) if file.suffix == ".py" else cpp_functions(path, text)
    return files, functions


def longest(spans: list[Span], limit: int) -> str:
    """The spans above a limit, longest first, one a line."""
    return "".join(f"\n  {s.lines:5} {s.where}" for s in sorted(spans, key=lambda s: -s.lines) if s.lines > limit)


def main() -> int:
    """Command line entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, default=Path(__file__).resolve().parents[1], help="repository to measure")
    files, functions = measure(parser.parse_args().root)
    lines = sorted(f.lines for f in files)
    most = lines[int(0.9 * (len(lines) - 1))]
    print(f"files      {len(files)}, {sum(lines)} lines, {len(functions)} functions")
    print(f"median     {statistics.median(lines):.0f} lines (budget {MEDIAN})")
    print(f"90 %       {most} lines (budget {MOST})")
    print(f"longest    {lines[-1]} lines (hard stop {HARD_STOP}){longest(files, MOST)}")
    print(f"functions above {FUNCTION} lines:{longest(functions, FUNCTION) or ' none'}")
    return 1 if lines[-1] > HARD_STOP else 0


if __name__ == "__main__":
    sys.exit(main())
