# SPDX-License-Identifier: Apache-2.0
"""Files are measured before they are read: what the model cannot hold costs neither time nor memory."""

from __future__ import annotations

import os
import resource

import hugectr
import numpy as np
import pytest
from harness import training
from harness.reference_optimizers import Optimizer
from model.test_checkpoint_bytes import batch_norm_model
from model.tiny import LOCALIZED, tiny, tiny_data

HUGE = 3 << 30


def peak_mib():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10


@pytest.fixture
def saved(tmp_path):
    declaration = tiny(LOCALIZED)
    source = tiny_data(tmp_path / "data", declaration)
    model = training.create_model(declaration, Optimizer("Adam", "LazyGlobal"), source, batch_size=4)
    model.start_data_reading()
    training.train(model, 2)
    model.save_params_to_files(str(tmp_path / "s"))
    return model


def load(model, folder):
    model.load_dense_weights(str(folder / "s_dense_0.model"))
    model.load_sparse_weights([str(folder / "s0_sparse_0.model")])
    model.load_dense_optimizer_states(str(folder / "s_opt_dense_0.model"))
    model.load_sparse_optimizer_states([str(folder / "s0_opt_sparse_0.model")])


@pytest.mark.parametrize(
    "names",
    [
        ("s0_sparse_0.model/key",),
        ("s0_sparse_0.model/emb_vector",),
        ("s0_sparse_0.model/slot_id",),
        ("s0_sparse_0.model/key", "s0_sparse_0.model/emb_vector", "s0_sparse_0.model/slot_id"),
        ("s_dense_0.model",),
        ("s_opt_dense_0.model",),
        ("s_opt_dense_0.model.step",),
        ("s_opt_dense_0.model.json",),
        ("s0_opt_sparse_0.model",),
        ("s0_opt_sparse_0.model.step",),
        ("s0_opt_sparse_0.model.json",),
    ],
    ids="+".join,
)
def test_huge_model_files(names, saved, tmp_path):
    for name in names:
        os.truncate(tmp_path / name, HUGE)
    before = peak_mib()
    with pytest.raises(
        hugectr.HugectrError,
        match=os.path.basename(names[0]).split(".")[0] + "|keys|vectors|slot ids|which can hold 131072",
    ):
        load(saved, tmp_path)
    assert peak_mib() - before < 64


def memory_mib(field):
    """VmRSS: now; VmHWM: the most since reset_peak()."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(field)) >> 10


def reset_peak():
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")


def test_tables_travel_in_blocks(tmp_path):
    declaration = tiny(workspace_mb=128)
    model = training.create_model(
        declaration, Optimizer("AdaGrad", "Local"), tiny_data(tmp_path / "data", declaration), batch_size=4
    )
    rows = 8_000_000
    sparse = tmp_path / "sparse"
    sparse.mkdir()
    np.arange(rows, dtype="<i8").tofile(sparse / "key")
    np.ones(2 * rows, "<f4").tofile(sparse / "emb_vector")
    reset_peak()
    model.load_sparse_weights([str(sparse)])
    assert memory_mib("VmHWM") - memory_mib("VmRSS") < 64
    reset_peak()
    before = memory_mib("VmRSS")
    model.save_params_to_files(str(tmp_path / "s"))
    assert memory_mib("VmHWM") - before < 64
    assert (tmp_path / "s0_sparse_0.model" / "emb_vector").read_bytes() == (sparse / "emb_vector").read_bytes()


def test_huge_legacy_file(saved, tmp_path):
    file = tmp_path / "legacy.model"
    file.touch()
    os.truncate(file, HUGE // 20 * 20)  # key, slot, two floats
    before = peak_mib()
    with pytest.raises(hugectr.HugectrError, match="legacy.model.* rows for 1 rank, which can hold 131072"):
        saved.load_sparse_weights([str(file)])
    assert peak_mib() - before < 64


def test_huge_statistics(tmp_path):
    model = batch_norm_model(tmp_path / "data")
    model.save_params_to_files(str(tmp_path / "s"))
    os.truncate(tmp_path / "s_dense_0.model.ntp.json", HUGE)
    before = peak_mib()
    with pytest.raises(hugectr.HugectrError, match=r"ntp.json.*3221225472 bytes"):
        model.load_dense_weights(str(tmp_path / "s_dense_0.model"))
    assert peak_mib() - before < 64


def test_huge_graph_file(tmp_path):
    file = tmp_path / "graph.json"
    file.touch()
    os.truncate(file, HUGE)
    solver = hugectr.CreateSolver(batchsize=4, batchsize_eval=4)
    reader = hugectr.DataReaderParams(
        data_reader_type=hugectr.DataReaderType_t.Norm, source=["a"], eval_source="a", check_type=hugectr.Check_t.Sum
    )
    model = hugectr.Model(solver, reader, hugectr.CreateOptimizer())
    before = peak_mib()
    with pytest.raises(hugectr.HugectrError, match=r"construct_from_json.*3221225472 bytes"):
        model.construct_from_json(str(file), True)
    assert peak_mib() - before < 64
