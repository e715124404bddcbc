# SPDX-License-Identifier: Apache-2.0
"""Hash tables are salted anew in each process; nothing that can be seen depends on it."""

from pathlib import Path

from harness.scripts import make_data, run

SCRIPT = """
import sys
for name, model in (("small", build()), ("wide", build_wide())):
    model.fit(max_iter=20, display=0, eval_interval=10, snapshot=0)
    model.save_params_to_files(f"saved_{name}/m")
    print("loss", model.get_current_loss())
"""


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.glob("saved_*/**/*") if path.is_file()}


def test_two_processes_write_the_same_bytes(tmp_path: Path) -> None:
    make_data(tmp_path)
    first_losses = [line for line in run(tmp_path, SCRIPT)[0].splitlines() if line.startswith("loss")]
    first = contents(tmp_path)
    assert len(first) > 8 and len(first_losses) == 2
    losses = [line for line in run(tmp_path, SCRIPT)[0].splitlines() if line.startswith("loss")]
    assert losses == first_losses and contents(tmp_path) == first
