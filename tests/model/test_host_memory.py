# SPDX-License-Identifier: Apache-2.0
"""Training on takes no more host memory: not by steps, not by evaluations, not by calls of fit."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import sys
from pathlib import Path
import hugectr, numpy as np
from harness import reference, training
from harness.reference_optimizers import Optimizer
from model.small_models import small

folder, repeat = Path(sys.argv[1]), sys.argv[2] == "repeat"
declaration, random = small("dcn"), np.random.default_rng(1)
source = training.write_norm(folder, declaration, [reference.random_batch(declaration, 32, random) for _ in range(40)])
model = training.create_model(
    declaration, Optimizer("Adam"), source, batch_size=32, repeat_dataset=repeat, max_eval_batches=5
)
for _ in range(12):
    model.fit(max_iter=600, num_epochs=15, display=100, eval_interval=300, snapshot=0)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    print("pages", pages)
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="no /proc")
@pytest.mark.parametrize("mode", ["repeat", "epochs"])
def test_fits_leave_nothing_behind(mode, tmp_path):
    tests = str(Path(__file__).parents[1])
    arguments = [sys.executable, "-c", f"import sys; sys.path.insert(0, {tests!r})\n{SCRIPT}", str(tmp_path), mode]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    pages = [int(line.split()[1]) for line in done.stdout.splitlines() if line.startswith("pages")]
    settled = pages[4:]
    assert (settled[-1] - settled[0]) * 4096 < 2**20, [4 * p for p in pages]
