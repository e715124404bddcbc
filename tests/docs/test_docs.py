# SPDX-License-Identifier: Apache-2.0
"""The Python blocks of the documentation run as printed, those of one page one after another."""

import os
import re
import subprocess
import sys
from pathlib import Path

import hugectr
import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted(p for p in [ROOT / "README.md", *ROOT.glob("docs/**/*.md")] if "\n```python\n" in p.read_text())


def python_lines(text):
    """The lines of Python blocks, and an empty one for each other line: tracebacks then name lines of the page."""
    inside = False
    for line in text.splitlines():
        is_fence = line.startswith("```")
        inside = line == "```python" if is_fence else inside
        yield line if inside and not is_fence else ""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_python_blocks_run(page, tmp_path):
    script = tmp_path / page.name.replace(".md", ".py")
    script.write_text("\n".join(python_lines(page.read_text())))
    path = os.pathsep.join(os.path.abspath(entry) for entry in sys.path)
    run = subprocess.run(
        [sys.executable, script], cwd=tmp_path, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr


LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)")


def test_links_lead_somewhere():
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("src/*.md"), *ROOT.glob("examples/**/*.md")]
    dead = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in pages
        for target in LINK.findall(page.read_text())
        if not (page.parent / target).exists()
    ]
    assert not dead


@pytest.mark.skipif("site-packages" in Path(hugectr.__file__).parts, reason="pages belong to the source tree")
def test_reference_pages_are_up_to_date():
    tool = [sys.executable, str(ROOT / "tools/make_reference.py"), "--check"]
    run = subprocess.run(tool, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
