# SPDX-License-Identifier: Apache-2.0
"""Data, graphs and models elsewhere: in a store in memory, and in a stand-in for S3 on this machine (moto)."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import hugectr
import pytest
from harness.scripts import make_data
from hugectr import _core, remote
from hugectr.tools import criteo2raw


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """The address of a bucket, and what makes one of a path in it."""
    moto_server = pytest.importorskip("moto.server")
    server = moto_server.ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    before = dict(os.environ)
    os.environ.update(AWS_ACCESS_KEY_ID="a", AWS_SECRET_ACCESS_KEY="b", AWS_DEFAULT_REGION="us-east-1",
                      AWS_ENDPOINT_URL=f"http://{host}:{port}", AWS_EC2_METADATA_DISABLED="true")  # fmt: skip
    from pyarrow import fs

    fs.S3FileSystem(allow_bucket_creation=True, endpoint_override=os.environ["AWS_ENDPOINT_URL"]).create_dir("bucket")
    yield "s3://bucket"
    server.stop()
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(params=["memory", "s3"])
def place(request: pytest.FixtureRequest) -> str:
    """A folder elsewhere that nobody has used."""
    base = "memory:/" if request.param == "memory" else request.getfixturevalue("s3")
    return f"{base}/{request.node.name.replace('[', '-').replace(']', '')}"


def upload(folder: Path, place: str) -> None:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            _core.write_file(f"{place}/{path.relative_to(folder)}", [path.read_bytes()])


def content(path: str) -> bytes:
    return bytes(_core.read_file(path, 1 << 28))


def build_small(format: str, place: str, **options: Any) -> hugectr.Model:
    folder = "parquet" if format == "Parquet" else "norm"
    solver = hugectr.CreateSolver(
        seed=7, batchsize=32, batchsize_eval=32, max_eval_batches=2, lr=0.01, i64_input_key=True, **options
    )
    reader = hugectr.DataReaderParams(
        getattr(hugectr.DataReaderType_t, format),
        f"{place}/{folder}/train.txt",
        eval_source=f"{place}/{folder}/test.txt",
        check_type=hugectr.Check_t.Sum if folder == "norm" else hugectr.Check_t.Non,
        num_workers=2,
        slot_size_array=[10] * 3 if format == "Parquet" else [],
    )
    model = hugectr.Model(solver, reader, hugectr.CreateOptimizer(hugectr.Optimizer_t.Adam))
    model.add(hugectr.Input(1, "label", 2, "dense", [hugectr.DataReaderSparseParam("data", 1, True, 3)]))
    hash_table = hugectr.Embedding_t.DistributedSlotSparseEmbeddingHash
    model.add(hugectr.SparseEmbedding(hash_table, 1, 4, "sum", "e", "data"))
    model.add(hugectr.DenseLayer(hugectr.Layer_t.Reshape, ["e"], ["r"], leading_dim=12))
    model.add(hugectr.DenseLayer(hugectr.Layer_t.Concat, ["r", "dense"], ["c"]))
    model.add(hugectr.DenseLayer(hugectr.Layer_t.InnerProduct, ["c"], ["fc"], num_output=1))
    model.add(hugectr.DenseLayer(hugectr.Layer_t.BinaryCrossEntropyLoss, ["fc", "label"], ["loss"]))
    model.compile()
    return model


FIT = {"max_iter": 41, "display": 0, "eval_interval": 20, "snapshot": 40}


@pytest.mark.parametrize("format", ["Norm", "Parquet"])
def test_training_from_and_to_elsewhere(data: Path, tmp_path: Path, place: str, format: str) -> None:
    """The same metrics and the same bytes as with local files; then the snapshot goes on where it was."""
    lists = "norm" if format == "Norm" else "parquet"
    upload(data / lists, f"{place}/{lists}")
    local = build_small(format, str(data))
    expected = local.fit(**FIT, snapshot_prefix=str(tmp_path / "models/m"))
    model = build_small(format, place)
    history = model.fit(**FIT, snapshot_prefix=f"{place}/models/m")
    assert history.evaluations == expected.evaluations
    saved = [path for path in sorted((tmp_path / "models").rglob("*")) if path.is_file()]
    assert len(saved) == 9
    for path in saved:
        assert content(f"{place}/models/{path.relative_to(tmp_path / 'models')}") == path.read_bytes(), path
    resumed = build_small(format, place)
    resumed.load_params_from_files(f"{place}/models/m", 40)
    resumed.save_params_to_files(f"{place}/models/again", 40)
    for path in saved:
        name = str(path.relative_to(tmp_path / "models")).replace("m", "again", 1)
        assert content(f"{place}/models/{name}") == path.read_bytes(), path


def test_graphs_predictions_and_texts(data: Path, tmp_path: Path, place: str) -> None:
    upload(data / "norm", f"{place}/norm")
    model = build_small("Norm", place)
    model.graph_to_json(f"{place}/graph.json")
    model.graph_to_json(tmp_path / "graph.json")
    assert content(f"{place}/graph.json") == (tmp_path / "graph.json").read_bytes()
    model.start_data_reading()
    for _ in range(2):
        model.eval()
        model.export_predictions(f"{place}/predictions.txt", f"{place}/labels.txt")
    assert len(content(f"{place}/labels.txt").split()) == 64
    _core.write_file(f"{place}/in.txt", [b" ".join([b"1"] * 40) + b"\n"])
    criteo2raw(f"{place}/in.txt", f"{place}/out.bin")
    assert len(content(f"{place}/out.bin")) == 160


def test_what_is_missing_is_named(data: Path, place: str) -> None:
    model = build_small("Norm", place)
    with pytest.raises(hugectr.HugectrError, match=f"{place}/norm/train.txt"):
        model.start_data_reading()
    with pytest.raises(hugectr.HugectrError, match=f"{place}/none_dense_0.model"):
        model.load_params_from_files(f"{place}/none")


def test_data_source_params_say_where_paths_are() -> None:
    params = hugectr.data.DataSourceParams(use_hdfs=True, namenode="host", port=9001)
    assert params.address("/a/b") == params.address("a/b") == "hdfs://host:9001/a/b"
    assert params.address("s3://c/d") == "s3://c/d" and params.address("") == ""
    later = hugectr.data.DataSourceParams(source=hugectr.DataSourceType_t.HDFS, server="other")
    assert later.address("x") == "hdfs://other:9000/x"
    assert hugectr.data.DataSourceParams(source=hugectr.DataSourceType_t.S3).address("/b/k") == "s3://b/k"
    assert hugectr.data.DataSourceParams().address("a/b") == "a/b"
    with pytest.raises(ValueError, match='paths begin with scheme://, got "a"'):
        hugectr.data.DataSourceParams(source=hugectr.DataSourceType_t.Other).address("a")


def test_data_sources_copy(tmp_path: Path, place: str) -> None:
    for name in ("m/key", "m/vector", "list.txt"):
        _core.write_file(f"{place}/{name}", [name.encode() * 1000])
    source = hugectr.data.DataSource(hugectr.data.DataSourceParams())
    source.move_to_local(f"{place}/m", tmp_path / "m")
    assert {path.name: path.read_bytes()[:5] for path in (tmp_path / "m").iterdir()} == {
        "key": b"m/key",
        "vector": b"m/vec",
    }
    configured = hugectr.data.DataSourceParams(
        hdfs_train_filelist=f"{place}/list.txt", local_train_filelist=tmp_path / "l.txt",
        hdfs_sparse_model=[f"{place}/m"], local_sparse_model=[tmp_path / "n"],
    )  # fmt: skip
    hugectr.data.DataSource(configured).move_to_local()
    assert (tmp_path / "l.txt").read_bytes() == b"list.txt" * 1000 and (tmp_path / "n/vector").exists()
    for arguments, message in (((f"{place}/m",), "needs both paths"), ((), "no hdfs_")):
        with pytest.raises(ValueError, match=message):
            source.move_to_local(*arguments)
    with pytest.raises(hugectr.errors.FileError, match="gone"):
        source.move_to_local(f"{place}/gone", tmp_path / "gone")


class Flaky:
    """A file system that fails some times, in front of another."""

    def __init__(self, files: Any, failures: int, error: type[OSError] = ConnectionResetError) -> None:
        self._files, self.failures, self._error = files, failures, error

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._files, name)
        if not callable(attribute):
            return attribute

        def call(*args: Any, **kwargs: Any) -> Any:
            if self.failures > 0:
                self.failures -= 1
                raise self._error("the line is bad")
            return attribute(*args, **kwargs)

        return call


@pytest.fixture
def flaky(monkeypatch: pytest.MonkeyPatch) -> Iterator[Flaky]:
    """What stands before the store of memory://flaky; waiting takes no time."""
    monkeypatch.setattr(remote, "_FIRST_PAUSE", 0.001)
    _core.write_file("memory://flaky/a", [b"content"])
    place = remote.STORE._place("memory://flaky/a")
    front = Flaky(place.files, 0)
    monkeypatch.setattr(remote.STORE, "_place", lambda path: remote._Place(front, "/" + path.split("//")[1]))
    yield front


def test_failures_that_pass_are_waited_for(flaky: Flaky, capsys: pytest.CaptureFixture[str]) -> None:
    flaky.failures = 3
    assert content("memory://flaky/a") == b"content"
    warnings = [line for line in capsys.readouterr().out.splitlines() if "trying again" in line]
    assert len(warnings) == 3 and "memory://flaky/a" in warnings[0] and "(1 of 4)" in warnings[0]


def test_failures_that_stay_are_errors(flaky: Flaky) -> None:
    flaky.failures = 1000
    with pytest.raises(hugectr.errors.FileError, match='"memory://flaky/a": the line is bad'):
        content("memory://flaky/a")


def test_no_second_try_where_it_cannot_help(flaky: Flaky) -> None:
    flaky._error, flaky.failures = PermissionError, 2
    with pytest.raises(hugectr.errors.FileError):
        content("memory://flaky/a")
    assert flaky.failures == 0  # the call and its error; not five tries


def test_unknown_schemes() -> None:
    for path in ("nothing://x/y", "s4://bucket/x"):
        with pytest.raises(hugectr.errors.UnsupportedError, match="no file system is known by"):
            build_small("Norm", path)
    assert "memory" in fsspec.available_protocols()


@pytest.mark.parametrize("action", ["load", "save", "graph"])
def test_an_interrupt_ends_the_wait_for_a_store_that_does_not_answer(
    action: str, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = build_small("Norm", str(data))
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.listen(64)
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.getsockname()[1]}")
        place = f"s3://silent-{action}/m"
        actions = {
            "load": lambda: model.load_dense_weights(f"{place}_dense_0.model"),
            "save": lambda: model.save_params_to_files(place),
            "graph": lambda: model.graph_to_json(f"{place}.json"),
        }
        sent: list[float] = []

        def interrupt() -> None:
            sent.append(time.monotonic())
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

        threading.Timer(0.5, interrupt).start()
        with pytest.raises(KeyboardInterrupt):
            actions[action]()
        assert time.monotonic() - sent[0] < 1
