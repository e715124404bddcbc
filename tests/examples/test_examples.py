# SPDX-License-Identifier: Apache-2.0
"""The example scripts run as a user would run them, and leave behind what they promise."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


def run(script, folder, *arguments):
    path = os.pathsep.join(os.path.abspath(entry) for entry in sys.path)
    environment = {**os.environ, "PYTHONPATH": path, "HUGECTR_LOG_LEVEL": "1"}
    done = subprocess.run(
        [sys.executable, EXAMPLES / script, *arguments], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", ["wdl", "deepfm", "dcn", "dlrm"])
def test_model_on_generated_data(name, tmp_path):
    out = run(f"{name}.py", tmp_path)
    losses = [float(loss) for loss in re.findall(r"Iter: \d+ Time\(50 iters\): \S+ Loss: (\S+) lr:", out)]
    assert len(losses) == 4 and all(0 < loss < 1 for loss in losses)
    assert len(re.findall(r"Evaluation, AUC: 0\.\d+", out)) == 2
    assert (tmp_path / "output" / name / f"{name}_dense_200.model").stat().st_size > 0


def test_din_finds_what_pooling_loses(tmp_path):
    out = run("din.py", tmp_path)
    aucs = dict(re.findall(r"^test AUC, (\w+): (0\.\d{4})$", out, re.M))
    assert float(aucs["pooled"]) == pytest.approx(0.5, abs=0.02)  # four standard errors and more
    assert float(aucs["din"]) > 0.93  # of .95, where 5 % of the labels are the other way round
    assert (tmp_path / "output/din/din_dense_400.model").stat().st_size > 0


def test_adult_demo(tmp_path):
    out = run("adult/demo.py", tmp_path)
    aucs = {m[1]: float(m[2]) for m in re.finditer(r"^(\S.*?)  +[\d,]+ +(0\.\d{4}) ", out, re.M)}
    assert aucs.keys() == {"Wide & Deep", "DeepFM", "DCN"}
    assert min(aucs.values()) > 0.912
    assert "loaded into a fresh one, and predicted the same" in out
    assert (tmp_path / "output" / "adult.png").read_bytes().startswith(b"\x89PNG")


def adult_aucs(folder, *arguments):
    out = run("adult/demo.py", folder, "--seeds", "1", *arguments)
    aucs = [float(auc) for auc in re.findall(r"^\S.*?  +(0\.\d{4}) +0\.0000 ", out, re.M)]
    assert len(aucs) == 3
    return aucs


@pytest.fixture(scope="module")
def full_precision_aucs(tmp_path_factory):
    return adult_aucs(tmp_path_factory.mktemp("adult"))


@pytest.mark.parametrize("arguments", [["--mixed-precision"], ["--mixed-precision", "bf16"]], ids=["auto", "bf16"])
def test_adult_in_mixed_precision(arguments, tmp_path, full_precision_aucs):
    assert adult_aucs(tmp_path, *arguments) == pytest.approx(full_precision_aucs, abs=0.002)
