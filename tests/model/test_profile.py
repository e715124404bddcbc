# SPDX-License-Identifier: Apache-2.0
"""HUGECTR_PROFILE: a table after fit, and a trace."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from harness import training
from harness.reference_optimizers import Optimizer
from model.tiny import tiny, tiny_data


def test_profile_names_every_layer_and_writes_a_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    trace = tmp_path / "trace.json"
    monkeypatch.setenv("HUGECTR_PROFILE", str(trace))
    declaration = tiny()
    data = tiny_data(tmp_path / "data", declaration)
    model = training.create_model(declaration, Optimizer("SGD"), data, eval_source=data, batch_size=4)
    model.fit(max_iter=5, display=0, eval_interval=0)
    out = capfd.readouterr().out
    assert "5 steps, " in out and "GFLOP/s" in out
    for name in ("keys", "embeddings", "optimizer", "fc", "wide", "logit", "loss"):
        assert any(line.startswith(f"{name} ") for line in out.splitlines()), name
    events = json.loads(trace.read_text())["traceEvents"]
    assert sum(event["name"] == "fc" for event in events) == 10  # forward and backward of five steps
    assert all(event["dur"] >= 0 for event in events)
