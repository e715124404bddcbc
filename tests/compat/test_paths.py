# SPDX-License-Identifier: Apache-2.0
"""Paths of any bytes, with colons and home folders, wherever a path is taken; what is none is refused by name."""

import os
import pathlib
from collections.abc import Iterator
from typing import Any

import hugectr
import numpy as np
import pytest
from hugectr import spec
from hugectr.errors import FileError, HugectrError, InvalidArgumentError
from hugectr.tools import DataGenerator, DataGeneratorParams, Mappings, to_parquet, write_file_list, write_norm

ROWS = 8
TABLE = {"y": np.arange(ROWS) % 2, "x": np.linspace(-1, 1, ROWS), "k": np.arange(ROWS) % 5}
# A name in bytes that are not UTF-8, as os.listdir gives it, and its like.
LATIN = os.fsdecode(b"caf\xe9\xff")
NAMES = [
    LATIN,
    "run:1/a",
    "s3:/b",
    "file:x",
    "hdfs:",
    "2024-05-01T12:30",
    "a b",
    "per%20cent",
    "q?x#y",
    "[x]*",
    "\u6570",
]


def build(format: str, source: Any, sizes: Any = (), graph: Any = None) -> hugectr.Model:
    evaluation = source[-1] if isinstance(source, list) else source
    model = hugectr.Model(
        hugectr.CreateSolver(batchsize=4, batchsize_eval=4, max_eval_batches=1, seed=3, i64_input_key=True),
        hugectr.DataReaderParams(
            getattr(hugectr.DataReaderType_t, format), source, eval_source=evaluation, check_type=hugectr.Check_t.Non,
            slot_size_array=sizes,
        ),
        hugectr.CreateOptimizer(),
    )  # fmt: skip
    if graph is not None:
        model.construct_from_json(graph, True)
        return model
    model.add(hugectr.Input(1, "label", 1, "dense", [hugectr.DataReaderSparseParam("data", 1, True, 1)]))
    model.add(hugectr.SparseEmbedding(hugectr.Embedding_t.DistributedSlotSparseEmbeddingHash, 1, 2, "sum", "e", "data"))
    model.add(hugectr.DenseLayer(hugectr.Reshape, ["e"], ["flat"], leading_dim=2))
    model.add(hugectr.DenseLayer(hugectr.Concat, ["flat", "dense"], ["all"]))
    model.add(hugectr.DenseLayer(hugectr.InnerProduct, ["all"], ["fc"], num_output=1))
    model.add(hugectr.DenseLayer(hugectr.BinaryCrossEntropyLoss, ["fc", "label"], ["loss"]))
    return model


@pytest.fixture
def here(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[pathlib.Path]:
    """The working folder, with a home folder of its own beside it."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    yield tmp_path


@pytest.mark.parametrize("as_given", [str, os.fsencode, pathlib.Path])
@pytest.mark.parametrize("name", [*NAMES, "~", "~/a:b"])
def test_every_path_of_a_training(name: str, as_given: Any, here: pathlib.Path) -> None:
    def path(*more: str) -> Any:
        return as_given(os.path.join(name, *more))

    data = to_parquet(TABLE, path("set"), labels="y", numeric=["x"], categorical=["k"])
    assert Mappings.load(path("set")) == data.mappings
    data.mappings.save(path("mappings.json"))
    model = build("Parquet", path("set", "_file_list.txt"), data.slot_size_array)
    model.compile()
    model.graph_to_json(path("graph.json"))
    model.fit(max_iter=3, display=0, eval_interval=0, snapshot=2, snapshot_prefix=path("snap"))
    model.save_params_to_files(path("models", "m"), 7)
    model.load_dense_weights(path("models", "m_dense_7.model"))
    model.load_dense_optimizer_states(path("models", "m_opt_dense_7.model"))
    model.load_sparse_weights([path("models", "m0_sparse_7.model")])
    model.load_sparse_weights({"e": path("snap0_sparse_2.model")})
    model.load_sparse_optimizer_states([path("models", "m0_opt_sparse_7.model")])
    model.eval()
    model.export_predictions(path("predictions.txt"), path("labels.txt"))
    assert len(np.loadtxt(os.path.expanduser(os.fsdecode(path("labels.txt"))))) == 4
    build("Parquet", data.source, graph=path("graph.json")).compile()
    assert set(os.listdir(".")) <= {name.split("/")[0]}, "a folder of another name"


@pytest.mark.parametrize("name", [LATIN, "run:1", "~"])
def test_other_formats(name: str, here: pathlib.Path) -> None:
    os.makedirs(os.path.expanduser(name))
    write_norm(f"{name}/a", TABLE["y"], TABLE["x"][:, np.newaxis], [TABLE["k"][:, np.newaxis]], check_sum=False,
               i64=True)  # fmt: skip
    write_file_list(f"{name}/list", [f"{name}/a"])
    model = build("Norm", [f"{name}/list"])
    model.compile()
    model.start_data_reading()
    assert model.train()
    epochs = model.get_data_reader_train()
    with pytest.raises(HugectrError) as failure:
        epochs.set_source(f"{name}/nothing")
    str(failure.value).encode()  # a message that can be printed
    for format in ("Norm", "Parquet"):
        lists = f"{name}/{format}/t", f"{name}/{format}/e"
        params = DataGeneratorParams(
            getattr(hugectr, format), 1, 1, 1, True, *lists, [5], check_type=hugectr.Check_t.Non, num_files=1,
            eval_num_files=1, num_samples_per_file=9,
        )  # fmt: skip
        DataGenerator(params).generate()
        made = build(format, params.source)
        made.compile()
        made.start_data_reading()
        assert made.train()


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".parquet", "/"])
def test_sources_of_data_sets(suffix: str, here: pathlib.Path) -> None:
    import pandas as pd

    frame = pd.DataFrame(TABLE)
    for name in (LATIN, "a:b", "~/c"):
        path = os.path.expanduser(name + suffix)
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        if "csv" in suffix:
            frame.to_csv(path, index=False)
        else:
            pathlib.Path(path, "a.parquet" if suffix == "/" else "").write_bytes(frame.to_parquet())
        made = to_parquet(name + suffix, "set", labels="y", numeric=["x"], categorical=["k"])
        assert made.num_rows == ROWS


def test_a_tilde_in_a_file_list_is_a_character(here: pathlib.Path) -> None:
    os.mkdir("~")
    write_norm("./~/a", TABLE["y"], TABLE["x"][:, np.newaxis], [TABLE["k"][:, np.newaxis]], check_sum=False, i64=True)
    pathlib.Path("list").write_text("1\n~/a\n")
    model = build("Norm", "list")
    model.compile()
    model.start_data_reading()
    assert model.train()


TAKES_A_PATH = {
    "to_parquet(): path": lambda p: to_parquet(TABLE, p, labels="y"),
    "to_parquet(): source": lambda p: to_parquet(p, "set", labels="y"),
    "Mappings.load(): path": Mappings.load,
    "write_norm(): path": lambda p: write_norm(p, [0], None, []),
    "write_file_list(): path": lambda p: write_file_list(p, ["a"]),
    "write_file_list(): files.0.": lambda p: write_file_list("list", [p]),
    "DataReaderParams(): source.1.": lambda p: build("Norm", ["a", p]),
    "DataReaderParams(): source ": lambda p: build("Norm", p),
    "Model.graph_to_json(): graph_config_file": lambda p: build("Norm", "a").graph_to_json(p),
    "Model.fit(): snapshot_prefix": lambda p: build("Norm", "a").fit(snapshot_prefix=p),
    "Model.load_sparse_weights(): sparse_embedding_files.'e'.": (
        lambda p: build("Norm", "a").load_sparse_weights({"e": p})
    ),
    "DataGeneratorParams(): source": (lambda p: DataGeneratorParams(hugectr.Norm, 1, 1, 1, True, p, "e", [5])),
}


@pytest.mark.parametrize("error, path, message", [
    (InvalidArgumentError, "a\0b", "must be a path, which has no NUL characters, got 'a"),
    (InvalidArgumentError, b"a\0b", "must be a path, which has no NUL characters, got b'a"),
    (InvalidArgumentError, "\ud800", "must be a path"),
    (InvalidArgumentError, "~nobody_at_all/x", "must be a path whose user is known"),
])  # fmt: skip
@pytest.mark.parametrize("function", TAKES_A_PATH)
def test_what_is_no_path(function: str, error: type[Exception], path: Any, message: str, here: pathlib.Path) -> None:
    with pytest.raises(error, match=(function + ".*" + message).replace("()", r"\(\)")) as failure:
        TAKES_A_PATH[function](path)
    str(failure.value).encode()
    assert not os.listdir(".")


@pytest.mark.parametrize("use", [
    lambda path: Mappings.load(path),
    lambda path: to_parquet(path + ".csv", "set", labels="y"),
    lambda path: build("Norm", "a", graph=path),
    lambda path: [write_norm(path, [0], None, []), write_norm(path + "/a/b", [0], None, [])],
])  # fmt: skip
def test_messages_about_such_names_can_be_printed(use: Any, here: pathlib.Path) -> None:
    with pytest.raises(HugectrError) as failure:
        use(LATIN)
    assert r"\xe9" in str(failure.value) or r"\udce9" in str(failure.value)
    str(failure.value).encode()


def test_a_pipe_is_no_file(here: pathlib.Path) -> None:
    os.mkfifo("pipe")
    os.mkfifo("pipe.csv")
    for use in (
        lambda: Mappings.load("pipe"),
        lambda: to_parquet("pipe.csv", "set", labels="y"),
        lambda: write_file_list("pipe", ["a"]),
        lambda: hugectr.tools.write_raw("pipe", [0], None, [[1]]),
    ):
        with pytest.raises(FileError, match="not a regular file"):
            use()  # type: ignore[no-untyped-call]


def test_paths_in_the_document() -> None:
    assert spec.path_text("a:\u6570") == "a:\u6570"
    assert spec.path_text(os.fsdecode(b"\xff\x80a")) == "\0\x7f\0\0a"


@pytest.mark.parametrize("call, message", [
    (lambda: hugectr.CreateSolver(lr=float("nan")), r"CreateSolver\(\): lr must be finite, got nan"),
    (lambda: hugectr.CreateSolver(lr=10**400), r"lr must be finite, got 1000"),
    (lambda: hugectr.CreateSolver(lr=1e39), r"lr must be finite, got 1e\+39, more than a 32-bit float holds"),
    (lambda: hugectr.CreateSolver(metrics_spec={hugectr.AUC: float("nan")}), r"metrics_spec\[.*AUC.*\] must be finite"),
    (lambda: hugectr.CreateSolver(batchsize=2**63), "'batchsize' must be a 64-bit int"),
    (lambda: hugectr.CreateSolver(model_name="\udcff"), "model_name must be text that UTF-8 can hold"),
    (lambda: hugectr.CreateOptimizer(initial_accu_value=1e300), "initial_accu_value must be finite, got 1e.300"),
    (lambda: hugectr.Input(1, "a\0b", 1, "d", []), "label_name must be text without NUL characters"),
    (lambda: hugectr.DenseLayer(hugectr.ReLU, [b"\xff"], "b"), r"bottom_names\[0\] must be text that UTF-8"),
    (lambda: hugectr.DenseLayer(hugectr.Dropout, "a", "b", dropout_rate=float("inf")), "dropout_rate must be finite"),
    (lambda: build("Norm", "a").fit(max_iter=2**63), r"Model.fit\(\): argument 'max_iter' must be a 64-bit int"),
    (lambda: build("Norm", "a").save_params_to_files("a", 2**64), "'iter' must be a 64-bit int"),
    (lambda: build("Norm", "a").set_learning_rate(1e39), "lr must be finite, got 1e.39, more than a"),
    (lambda: build("Norm", "a").compile(["label"], [float("nan")]), r"loss_weights\[0\] must be finite"),
    (lambda: to_parquet(TABLE, "set", labels="y", rows_per_file=2**63), "'rows_per_file' must be a 64-bit int"),
    (lambda: to_parquet(TABLE, "set", labels="y", rows_per_file="9"), "'rows_per_file' must be int, got str"),
    (lambda: DataGeneratorParams(hugectr.Norm, 1, 1, 1, True, "t", "e", [2**64]), r"'slot_size_array'\[0\] must be"),
    (lambda: DataGeneratorParams(hugectr.Norm, 1, 1, 1, True, "t", "e", [5], alpha=float("nan")), "alpha must be"),
])  # fmt: skip
def test_numbers_and_text_that_nothing_can_hold(call: Any, message: str, here: pathlib.Path) -> None:
    with pytest.raises((TypeError, InvalidArgumentError), match=message):
        call()
    assert not os.listdir(".")
