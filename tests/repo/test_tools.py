# SPDX-License-Identifier: Apache-2.0
"""Rules of the repository: they hold here, and the tools that check them notice planted violations."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LICENCE = "SPDX-License-Identifier: Apache-2.0"
SOURCES = {".h", ".cc", ".cu", ".cuh", ".py", ".cmake", ".sh"}


def run(tool: str, root: Path = ROOT) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "tools" / tool), "--root", str(root)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def plant(root: Path, path: str, text: str) -> None:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


@pytest.mark.parametrize("tool", ["check_deps.py", "check_size.py"])
def test_the_repository_passes(tool: str) -> None:
    result = run(tool)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    "path, line, rule",
    [
        ("src/base/a.h", '#include "model/m.h"', "src/base (level 0) must not include src/model (level 5)"),
        ("src/optim/a.cc", '#include "layers/l.h"', "src/optim (level 3) must not include src/layers (level 3)"),
        ("src/model/a.cc", '#include "m.h"', '"m.h" is not a file below src/'),
        ("src/model/a.h", "#include <nlohmann/json.hpp>", "<nlohmann/json.hpp> is allowed in *.cc only"),
        ("src/layers/a.cc", "#  include <dnnl.hpp>", "<dnnl.hpp> is allowed in src/kernels/serial_gemm.cc, "),
        ("src/layers/a.cc", "#include <cuda_runtime.h>", "is allowed in *.cu, *.cuh, src/device/* only"),
        ("src/io/a.cc", "#include <curl/curl.h>", "<curl/curl.h> is not in the table of vendor headers"),
        ("src/novel/a.cc", "", "its folder has no level"),
    ],
)
def test_a_forbidden_include_is_named(tmp_path: Path, path: str, line: str, rule: str) -> None:
    plant(tmp_path, "src/model/m.h", "#include <vector>\n")
    plant(tmp_path, "src/layers/l.h", "#include <string>\n")
    assert run("check_deps.py", tmp_path).returncode == 0
    plant(tmp_path, path, f"// {LICENCE}\n{line}\n")
    result = run("check_deps.py", tmp_path)
    assert result.returncode == 1
    assert result.stdout.startswith(f"{path}:{2 if line else 1}: ") and rule in result.stdout


def test_a_file_beyond_the_hard_stop_fails(tmp_path: Path) -> None:
    plant(tmp_path, "src/base/a.cc", "int x;\n" * 600)
    assert run("check_size.py", tmp_path).returncode == 0
    plant(tmp_path, "src/base/b.cc", "int x;\n" * 601)
    result = run("check_size.py", tmp_path)
    assert result.returncode == 1 and "601 src/base/b.cc" in result.stdout


def test_long_functions_are_listed(tmp_path: Path) -> None:
    body = "  if (x) { ++x; }\n" * 70
    plant(tmp_path, "src/base/a.cc", f"namespace ctr {{\nclass A {{\n void f(int x) const {{\n{body}}}\n}};\n}}\n")
    documented = "def g():\n" + '    """' + "doc\n" * 70 + '"""\n'  # a docstring is not length
    plant(tmp_path, "python/a.py", documented + "\ndef h():\n" + "    x = 1\n" * 70)
    lines = run("check_size.py", tmp_path).stdout.split("above 60 lines:")[1].split("\n")
    assert [line.split() for line in lines if line] == [
        ["72", "src/base/a.cc:3", "f"],
        ["71", "python/a.py:74", "h"],
    ]


def test_every_source_file_names_its_licence() -> None:
    command = ["git", "-C", str(ROOT), "ls-files"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\n")
    files = [ROOT / name for name in listed if Path(name).suffix in SOURCES or Path(name).name == "CMakeLists.txt"]
    lacking = [str(f) for f in files if f.exists() and LICENCE not in "".join(f.read_text().splitlines()[:2])]
    assert files and not lacking


def test_a_build_is_named_by_its_headers(tmp_path: Path) -> None:
    """By what they say and how they are called; core and plug-in compare the names."""
    script = ROOT / "cmake" / "BuildName.cmake"
    folder = tmp_path / "src"
    (folder / "base").mkdir(parents=True)

    def name(version: str = "1.0") -> str:
        output = tmp_path / "build_name.h"
        arguments = [f"-DVERSION={version}", f"-DFOLDER={folder}", f"-DOUTPUT={output}"]
        subprocess.run(["cmake", *arguments, "-P", str(script)], check=True)
        found = re.search(r'#define CTR_BUILD "(.*)"', output.read_text())
        assert found and re.fullmatch(re.escape(version) + r"\+[0-9a-f]{12}", found[1])
        return found[1]

    names = set()
    for path, text in [("base/a.h", "1"), ("base/a.h", "2"), ("base/b.h", "2"), ("c.h", "")]:
        (folder / path).write_text(text)
        names.add(name())
        assert name() in names
    (folder / "base" / "a.cc").write_text("no header")
    assert name() in names and len(names) == 4 and name("1.1") not in names
