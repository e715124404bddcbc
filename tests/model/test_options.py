# SPDX-License-Identifier: Apache-2.0
"""What Python hands to the core is what the core takes; anything else gets one warning."""

from __future__ import annotations

import os
import subprocess
import sys

import hugectr
from harness import training
from harness.declaration import node
from harness.reference_optimizers import Optimizer
from model.test_errors import changed
from model.tiny import tiny, tiny_data


def warnings(output: str) -> list[str]:
    return [line.split("]: ", 1)[1] for line in output.splitlines() if "[WARNING]" in line]


def test_the_core_takes_all_that_python_hands_over(tmp_path, capsys):
    reader = {"async_param": hugectr.AsyncParam(1, 1, 512, 1, 512, False, hugectr.Alignment_t.Non)}
    model = training.create_model(
        tiny(), Optimizer("Adam"), tiny_data(tmp_path, tiny()), batch_size=4, model_name="m", reader=reader
    )
    model.summary()
    assert not [w for w in warnings(capsys.readouterr().out) if "unknown" in w]


def test_keywords_of_other_layers(tmp_path, capsys):
    declaration = changed(fc=(node("ReLU", "dense", "relu", num_output=3), node("InnerProduct", "relu", "fc", axis=1)))
    training.create_model(declaration, Optimizer("Adam"), tiny_data(tmp_path, tiny()), batch_size=4)
    assert [w for w in warnings(capsys.readouterr().out) if "without effect" in w] == [
        'layer "relu" (ReLU): without effect on this layer: num_output; it takes no keywords',
        'layer "fc" (InnerProduct): without effect on this layer: axis; '
        "it takes num_output, weight_init_type, bias_init_type",
    ]


def test_cache_eval_data(tmp_path):
    """One warning a process, which must be one of its own."""
    source = tiny_data(tmp_path, tiny())
    code = f"""
from harness import training
from harness.reference_optimizers import Optimizer
from model.tiny import tiny
for _ in range(2):
    training.create_model(tiny(), Optimizer("Adam"), {source!r}, batch_size=4, reader={{"cache_eval_data": 2}})
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert len([w for w in warnings(output.stdout) if "cache_eval_data has no effect" in w]) == 1
