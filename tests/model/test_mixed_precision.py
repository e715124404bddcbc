# SPDX-License-Identifier: Apache-2.0
"""use_mixed_precision on a CPU: bf16 activations and products, asked for by name or because they are faster."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from harness import reference, training
from harness.declaration import dcn
from harness.reference_optimizers import Optimizer
from hugectr._core import default_device
from hugectr._core.testing import bf16_instructions
from model.small_models import MODELS, SLOTS, small
from model.test_ranks import with_dropout

BATCH, BATCHES, STEPS = 64, 10, 50
STOP = 2 * BATCHES  # a resumed run finds the data where the other goes on
ROUNDING = 2.0**-8  # of bf16
AUTO = {"use_mixed_precision": True, "scaler": 1024}
MIXED = {**AUTO, "mixed_precision_type": "bf16" if default_device() == "cpu" else "auto"}
ADAM = (Optimizer("Adam", "Local"), 0.001)
needs_bf16 = pytest.mark.skipif(not bf16_instructions(), reason="no bf16 matrix instructions")
on_cpu = pytest.mark.skipif(default_device() != "cpu", reason="about CPUs: a GPU computes in f16")


def write(folder, declaration):
    rng = np.random.default_rng(3)
    batches = [reference.random_batch(declaration, BATCH, rng) for _ in range(BATCHES)]
    return training.write_norm(folder, declaration, batches)


def start(declaration, source, recipe=ADAM, **options):
    optimizer, lr = recipe
    model = training.create_model(declaration, optimizer, source, batch_size=BATCH, lr=lr, **options)
    model.start_data_reading()
    return model


def losses(*args, **options):
    return training.train(start(*args, **options), STEPS)


def saved(model, folder):
    folder.mkdir()
    model.save_params_to_files(str(folder / "model"), STOP)
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def load(model, folder):
    model.load_dense_weights(str(folder / f"model_dense_{STOP}.model"))
    model.load_dense_optimizer_states(str(folder / f"model_opt_dense_{STOP}.model"))
    model.load_sparse_weights([str(folder / f"model0_sparse_{STOP}.model")])
    model.load_sparse_optimizer_states([str(folder / f"model0_opt_sparse_{STOP}.model")])


@needs_bf16
@pytest.mark.parametrize("recipe", [(Optimizer("SGD"), 0.1), ADAM], ids=["SGD", "Adam"])
@pytest.mark.parametrize("name", MODELS)
def test_losses_follow_full_precision(name, recipe, tmp_path):
    declaration = small(name)
    source = write(tmp_path, declaration)
    full, mixed = losses(declaration, source, recipe), losses(declaration, source, recipe, **MIXED)
    assert full != mixed
    np.testing.assert_allclose(mixed, full, rtol=ROUNDING)
    assert np.mean(mixed[-10:]) < np.mean(mixed[:10])


@needs_bf16
@pytest.mark.parametrize("ranks", [1, 2])
def test_same_seed_same_bits(ranks, tmp_path):
    declaration = with_dropout(small("dcn"))
    source = write(tmp_path, declaration)
    runs = []
    for i in range(2):
        model = start(declaration, source, ranks=ranks, **MIXED)
        runs.append((training.train(model, STOP), training.evaluate(model, 4), saved(model, tmp_path / str(i))))
    assert runs[0] == runs[1]


@needs_bf16
@pytest.mark.parametrize("name", MODELS)
def test_ranks_threads_and_scaler_change_nothing_but_the_order_of_sums(name, tmp_path, monkeypatch):
    declaration = small(name, nnz=2, fixed=False)
    source = write(tmp_path, declaration)
    one = losses(declaration, source, **MIXED)
    np.testing.assert_allclose(losses(declaration, source, ranks=2, **MIXED), one, rtol=ROUNDING / 16)
    assert losses(declaration, source, **{**MIXED, "scaler": 128}) == one  # a power of two
    monkeypatch.setenv("HUGECTR_NUM_THREADS", "3")
    np.testing.assert_allclose(losses(declaration, source, **MIXED), one, rtol=ROUNDING / 16)


@needs_bf16
def test_snapshots_are_full_precision_and_continue_in_either(tmp_path):
    declaration = small("dcn")
    source = write(tmp_path / "data", declaration)
    mixed, full = start(declaration, source, **MIXED), start(declaration, source)
    training.train(mixed, STOP)
    training.train(full, STOP)
    files, full_files = saved(mixed, tmp_path / "mixed"), saved(full, tmp_path / "full")
    assert {name: len(content) for name, content in files.items()} == {n: len(c) for n, c in full_files.items()}
    weights = np.frombuffer(files[f"model_dense_{STOP}.model"], np.uint32)
    assert np.count_nonzero(weights & 0xFFFF) > len(weights) / 2  # not what bf16 can hold

    expected = training.train(mixed, STOP)
    for folder, options in [("mixed", MIXED), ("mixed", {}), ("full", MIXED)]:
        resumed = start(declaration, source, **options)
        load(resumed, tmp_path / folder)
        got = training.train(resumed, STOP)
        if (folder, options) == ("mixed", MIXED):
            assert got == expected
        np.testing.assert_allclose(got, expected, rtol=ROUNDING)


def precision_line(model, capfd):
    """What the log says about mixed precision when the model trains, and before."""
    model.fit(max_iter=1, display=0, eval_interval=0, snapshot=0)
    out = capfd.readouterr().out
    assert "Use mixed precision: True, scaler: 1024.000000" in out
    (line,) = re.findall(r"Mixed precision on the CPU: (.*)", out)
    return line


@on_cpu
@needs_bf16
def test_a_type_given_by_name_is_not_measured(tmp_path, capfd):
    declaration = small("dcn")
    line = precision_line(start(declaration, write(tmp_path, declaration), **MIXED), capfd)
    products = "bf16 activations and matrix products, fp32 weights and sums"
    assert line == f'{products}: mixed_precision_type="bf16" asks for it ({bf16_instructions()})'


@on_cpu
@needs_bf16
def test_the_faster_type_is_chosen_and_the_log_says_why(tmp_path, capfd):
    declaration = dcn(SLOTS, 6, 5, hidden=(128, 128))
    source = write(tmp_path, declaration)
    lines = [precision_line(start(declaration, source, ranks=ranks, **AUTO), capfd) for ranks in (1, 2)]
    assert lines[0] == lines[1]  # measured once
    match = re.fullmatch(
        r"(bf16 activations|computing in fp32).*: products of 64 x 128 x 128, in place of 64 x 128 x 128, "
        rf"take ([\d.]+) ms in fp32 and ([\d.]+) ms in bf16 \({bf16_instructions()}\).*",
        lines[0],
    )
    is_bf16, (full, narrow) = match[1].startswith("bf16"), map(float, match.groups()[1:])
    assert narrow < full if is_bf16 else full < 1.3 * narrow
    assert losses(declaration, source, **AUTO) == losses(declaration, source, **(MIXED if is_bf16 else {}))


@on_cpu
@needs_bf16
def test_small_models_stay_in_full_precision(tmp_path, capfd):
    declaration = small("dcn")
    source = write(tmp_path, declaration)
    line = precision_line(start(declaration, source, **AUTO), capfd)
    assert line.startswith("computing in fp32: products of at most 64 x 16 x 29 are too small")
    assert losses(declaration, source, **AUTO) == losses(declaration, source)


@on_cpu
def test_a_machine_without_the_instructions_stays_in_full_precision(tmp_path):
    declaration = small("dcn")
    source = write(tmp_path, declaration)
    script = f"""
from model.test_mixed_precision import AUTO, MIXED, losses, small
full, *mixed = (losses(small("dcn"), {source!r}, **options) for options in ({{}}, AUTO, MIXED))
assert mixed == [full, full]
"""
    path = [str(Path(__file__).parents[1]), *sys.path]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path), "ONEDNN_MAX_CPU_ISA": "AVX2"}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    reason = "Mixed precision on the CPU: computing in fp32: this CPU or build has no bf16 matrix instructions"
    levels = re.findall(rf"\[(\w+)\]\[RK0\]\[main\]: {reason}\n", done.stdout)
    assert levels == ["INFO", "WARNING"]
