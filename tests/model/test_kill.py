# SPDX-License-Identifier: Apache-2.0
"""kill -9 while a snapshot is written over an older one: it loads as one version, or it is absent; never a mix."""

from __future__ import annotations

import multiprocessing
import os
import random
import time

import numpy as np
from harness import training
from harness.reference_optimizers import Optimizer
from model.saver import ROWS, save_for_ever
from model.tiny import tiny, tiny_data

KILLS = int(os.environ.get("HUGECTR_TEST_KILLS", "10"))  # 100 take half a minute


def test_kill_while_saving(tmp_path):
    declaration = tiny()
    source = tiny_data(tmp_path / "data", declaration)
    model = training.create_model(declaration, Optimizer("Adam"), source, batch_size=4)
    context = multiprocessing.get_context("forkserver")  # one process imports, every victim is its copy
    context.set_forkserver_preload(["model.saver"])
    moments = random.Random(1)
    versions = []
    for _ in range(KILLS):
        ready, send = context.Pipe(duplex=False)
        victim = context.Process(target=save_for_ever, args=(tmp_path, source, send))
        victim.start()
        send.close()
        ready.recv()
        time.sleep(moments.uniform(0, 0.03))
        victim.kill()
        victim.join()
        versions.append(load(model, tmp_path))
    assert sum(v is not None for v in versions) > KILLS / 4, "the kills never met a whole snapshot"


def load(model, folder):
    """The version of the snapshot, checked in every number; None when part of it is absent."""
    files = {name: folder / f"snapshot{name}_0.model" for name in ("_dense", "_opt_dense", "0_sparse", "0_opt_sparse")}
    if not all(f.exists() for f in files.values()):
        return None
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
    return int(version)
