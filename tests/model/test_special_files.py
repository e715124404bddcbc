# SPDX-License-Identifier: Apache-2.0
"""Pipes where files are expected, and locks that others hold: nobody waits for ever."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time

import hugectr
import pytest
from harness import training
from harness.reference_optimizers import Optimizer
from hugectr.tools import Mappings, to_parquet, write_file_list, write_norm, write_raw
from model.test_checkpoint_bytes import batch_norm_model
from model.tiny import LOCALIZED, tiny, tiny_data


def make_pipe(path):
    if os.path.exists(path):
        os.unlink(path)
    os.mkfifo(path)


def refused(action):
    start = time.monotonic()
    with pytest.raises(hugectr.HugectrError, match="not a regular file"):
        action()
    assert time.monotonic() - start < 5


def create(folder, **options):
    declaration = tiny(LOCALIZED)
    return training.create_model(
        declaration, Optimizer("Adam"), tiny_data(folder / "data", declaration), batch_size=4, **options
    )


@pytest.mark.parametrize("name", ["list.txt", "0.data"])
def test_norm_data(name, tmp_path):
    model = create(tmp_path)
    make_pipe(tmp_path / "data" / name)
    refused(lambda: model.fit(max_iter=2, display=0, eval_interval=0, snapshot=0))


@pytest.mark.parametrize("name", ["part_0.parquet", "_metadata.json", "_file_list.txt"])
def test_parquet_data(name, tmp_path):
    data = to_parquet(
        {"y": [0, 1], "x": [1.0, 2.0], "k": [1, 2]}, tmp_path / "p", labels="y", numeric=["x"], categorical=["k"]
    )
    make_pipe(tmp_path / "p" / name)
    model = hugectr.Model(
        hugectr.CreateSolver(batchsize=2, batchsize_eval=2, i64_input_key=True),
        hugectr.DataReaderParams(hugectr.DataReaderType_t.Parquet, data.source, eval_source=data.source,
                                 check_type=hugectr.Check_t.Non),
        hugectr.CreateOptimizer(),
    )  # fmt: skip
    model.add(hugectr.Input(1, "label", 1, "dense", [hugectr.DataReaderSparseParam("data", 1, True, 1)]))
    model.add(hugectr.SparseEmbedding(hugectr.Embedding_t.DistributedSlotSparseEmbeddingHash, 1, 2, "sum", "e", "data"))
    model.add(hugectr.DenseLayer(hugectr.Layer_t.Reshape, ["e"], ["r"], leading_dim=2))
    model.add(hugectr.DenseLayer(hugectr.Layer_t.Concat, ["r", "dense"], ["c"]))
    model.add(hugectr.DenseLayer(hugectr.Layer_t.InnerProduct, ["c"], ["fc"], num_output=1))
    model.add(hugectr.DenseLayer(hugectr.Layer_t.BinaryCrossEntropyLoss, ["fc", "label"], ["loss"]))
    model.compile()
    refused(lambda: model.fit(max_iter=2, display=0, eval_interval=0, snapshot=0))


@pytest.mark.parametrize(
    "name",
    [
        "s_dense_0.model",
        "s_opt_dense_0.model",
        "s_opt_dense_0.model.step",
        "s_opt_dense_0.model.json",
        "s0_sparse_0.model",
        "s0_sparse_0.model/key",
        "s0_sparse_0.model/emb_vector",
        "s0_sparse_0.model/slot_id",
        "s0_opt_sparse_0.model",
        "s0_opt_sparse_0.model.step",
        "s0_opt_sparse_0.model.json",
    ],
)
def test_model_files(name, tmp_path):
    model = create(tmp_path)
    model.save_params_to_files(str(tmp_path / "s"))
    path = tmp_path / name
    if path.is_dir():
        path.rename(tmp_path / "aside")
    make_pipe(path)

    def load():
        model.load_dense_weights(str(tmp_path / "s_dense_0.model"))
        model.load_dense_optimizer_states(str(tmp_path / "s_opt_dense_0.model"))
        model.load_sparse_weights([str(tmp_path / "s0_sparse_0.model")])
        model.load_sparse_optimizer_states([str(tmp_path / "s0_opt_sparse_0.model")])

    refused(load)


def test_statistics(tmp_path):
    model = batch_norm_model(tmp_path / "data")
    model.save_params_to_files(str(tmp_path / "s"))
    make_pipe(tmp_path / "s_dense_0.model.ntp.json")
    refused(lambda: model.load_dense_weights(str(tmp_path / "s_dense_0.model")))


def test_pipes_among_journals_are_skipped(tmp_path):
    model = create(tmp_path)
    model.save_params_to_files(str(tmp_path / "s"))
    make_pipe(tmp_path / "other.journal")
    model.load_dense_weights(str(tmp_path / "s_dense_0.model"))
    make_pipe(tmp_path / "s_0.journal")
    refused(lambda: model.save_params_to_files(str(tmp_path / "s")))


def test_snapshots_over_pipes(tmp_path):
    make_pipe(tmp_path / "s_dense_0.model")
    model = create(tmp_path)
    refused(lambda: model.save_params_to_files(str(tmp_path / "s")))


def test_graph_files(tmp_path):
    model = create(tmp_path)
    model.graph_to_json(str(tmp_path / "graph.json"))
    assert json.loads((tmp_path / "graph.json").read_text())["layers"]
    make_pipe(tmp_path / "pipe")
    refused(lambda: model.graph_to_json(str(tmp_path / "pipe")))
    empty = hugectr.Model(
        hugectr.CreateSolver(batchsize=4, batchsize_eval=4),
        hugectr.DataReaderParams(hugectr.DataReaderType_t.Norm, "a", eval_source="a", check_type=hugectr.Check_t.Sum),
        hugectr.CreateOptimizer(),
    )
    refused(lambda: empty.construct_from_json(str(tmp_path / "pipe"), True))
    model.graph_to_json("/dev/null")


def test_graph_files_are_replaced_as_a_whole(tmp_path):
    """A write that fails leaves the old file."""
    model = create(tmp_path)
    model.graph_to_json(str(tmp_path / "graph.json"))
    before = (tmp_path / "graph.json").read_text()
    script = (
        "import resource, signal, sys, hugectr\n"
        "from hugectr.files import replace_file\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))\n"
        "replace_file(sys.argv[1], [b'x' * 1000])\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "graph.json")], capture_output=True, text=True
    )
    assert "File too large" in result.stderr
    assert (tmp_path / "graph.json").read_text() == before
    assert [p.name for p in tmp_path.iterdir() if "graph" in p.name] == ["graph.json"]


@pytest.mark.parametrize("name", ["x.csv", "x.parquet", "folder/x.parquet"])
def test_sources_of_to_parquet(name, tmp_path):
    (tmp_path / "folder").mkdir()
    make_pipe(tmp_path / name)
    source = tmp_path / name.split("/")[0]
    refused(lambda: to_parquet(source, tmp_path / "out", labels="y"))
    refused(lambda: Mappings.load(tmp_path / name))


@pytest.mark.parametrize(
    "write",
    [
        lambda path: write_norm(path, [1], [[1.0]], [[[1]]]),
        lambda path: write_raw(path, [1], [[1]], [[1]]),
        lambda path: write_file_list(path, ["a"]),
    ],
    ids=["norm", "raw", "list"],
)
def test_written_data(write, tmp_path):
    make_pipe(tmp_path / "pipe")
    refused(lambda: write(tmp_path / "pipe"))
    write("/dev/null")
    write(tmp_path / "missing" / "x")
    with pytest.raises(hugectr.HugectrError, match='cannot create the folder ".*missing/x/y": Not a directory'):
        write(tmp_path / "missing" / "x" / "y" / "z")


HOLDER = "import fcntl, sys, time; f = open(sys.argv[1], 'w'); fcntl.flock(f, 2); print(1, flush=True); time.sleep(60)"


def test_waiting_for_a_lock_can_be_interrupted(tmp_path, capfd):
    model = create(tmp_path)
    journal = tmp_path / "s_0.journal"
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(journal)], stdout=subprocess.PIPE)
    try:
        assert holder.stdout.readline()
        sent = []

        def interrupt():
            sent.append(time.monotonic())
            os.kill(os.getpid(), signal.SIGINT)

        timer = threading.Timer(1.0, interrupt)
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            model.save_params_to_files(str(tmp_path / "s"))
        assert time.monotonic() - sent[0] < 0.5
        timer.join()
        assert capfd.readouterr().out.count(f'waiting for the writer that holds the lock of "{journal}"') == 1
    finally:
        holder.kill()
        holder.wait()
    model.save_params_to_files(str(tmp_path / "s"))
    model.load_dense_weights(str(tmp_path / "s_dense_0.model"))
