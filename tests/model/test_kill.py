# SPDX-License-Identifier: Apache-2.0
"""kill -9 while a snapshot is written over an older one: it loads as one version, never as a mix, and what else is in
its folders stays.
"""

from __future__ import annotations

import multiprocessing
import random
import tempfile
import time
from pathlib import Path

import numpy as np
from harness import training
from harness.reference_optimizers import Optimizer
from model.saver import ROWS, save_for_ever
from model.tiny import tiny, tiny_data

KILLS = 100
MEMORY = Path("/dev/shm")  # a killed process needs no disk to be unlucky


def test_kill_while_saving():
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        kill_while_saving(Path(folder))


def kill_while_saving(folder):
    declaration = tiny()
    source = tiny_data(folder / "data", declaration)
    model = training.create_model(declaration, Optimizer("Adam"), source, batch_size=4)
    context = multiprocessing.get_context("forkserver")  # one process imports, every victim is its copy
    context.set_forkserver_preload(["model.saver"])
    moments = random.Random(1)
    versions = []
    notes = folder / "snapshot0_sparse_0.model" / "notes"
    for kill in range(KILLS):
        ready, send = context.Pipe(duplex=False)
        victim = context.Process(target=save_for_ever, args=(folder, source, 1000 * kill, send))
        victim.start()
        send.close()
        time.sleep(moments.uniform(0, 2 * ready.recv()))
        victim.kill()
        victim.join()
        versions.append(load(model, folder))
        if kill:
            assert notes.read_text() == f"about version {versions[-2]}"
        notes.write_text(f"about version {versions[-1]}")
    assert all(1000 * kill < version for kill, version in enumerate(versions)), "a finished save was lost"
    assert len({version % 1000 for version in versions}) > 1, "the kills always met the same save"


def load(model, folder):
    """The version of the snapshot, checked in every number."""
    files = {name: folder / f"snapshot{name}_0.model" for name in ("_dense", "_opt_dense", "0_sparse", "0_opt_sparse")}
    model.load_dense_weights(str(files["_dense"]))
    model.load_sparse_weights([str(files["0_sparse"])])
    model.load_dense_optimizer_states(str(files["_opt_dense"]))
    model.load_sparse_optimizer_states([str(files["0_opt_sparse"])])
    dense = np.fromfile(files["_dense"], "<f4")
    keys, vectors = training.read_table(files["0_sparse"], 2)
    version = dense[0]
    np.testing.assert_array_equal(dense, np.full(3, version))
    np.testing.assert_array_equal(keys, np.arange(ROWS))
    np.testing.assert_array_equal(vectors, np.full((ROWS, 2), version))
    assert {p.name for p in files["0_sparse"].iterdir()} - {"notes"} == {"key", "emb_vector"}
    return int(version)
