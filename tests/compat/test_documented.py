# SPDX-License-Identifier: Apache-2.0
"""The documented examples run as printed, on small generated data and with small sizes."""

import os
from pathlib import Path
from typing import Any

import hugectr
import numpy as np
import pandas as pd
import pytest
from hugectr.tools import DataGenerator, DataGeneratorParams

from compat import documented

# What is replaced in the printed text: sizes only. Paths are relative, and every test runs in a folder of its own.
SMALLER = [
    ("16384", "64"),
    ("max_eval_batches = 300", "max_eval_batches = 3"),
    ("= 358", "= 4"),
    ("= 23", "= 1"),
    ("409600", "512"),
    ("1024", "16"),
    ("512, 256", "8, 4"),
]


def small(text: str) -> str:
    for printed, smaller in SMALLER:
        text = text.replace(printed, smaller)
    return text


class Script:
    """Examples executed one after another in one namespace."""

    def __init__(self) -> None:
        self.names: dict[str, Any] = {"hugectr": hugectr, "os": os}

    def run(self, text: str) -> None:
        exec(compile(small(text), "example", "exec"), self.names)

    def __getattr__(self, name: str) -> Any:
        return self.names[name]

    def make_model(self, sparse: list[hugectr.DataReaderSparseParam], dense_dim: int = 13) -> hugectr.Model:
        model = self.names["model"] = hugectr.Model(self.solver, self.reader, self.optimizer)
        model.add(hugectr.Input(1, "label", dense_dim, "dense", sparse))
        return model


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def generate(format: hugectr.DataReaderType_t, source: str, eval_source: str, num_slot: int, **arguments: Any) -> None:
    os.makedirs(os.path.dirname(source), exist_ok=True)
    params = DataGeneratorParams(
        format=format,
        label_dim=1,
        dense_dim=13,
        num_slot=num_slot,
        source=source,
        eval_source=eval_source,
        slot_size_array=[20] * num_slot,
        **arguments,
    )
    DataGenerator(params).generate()


def generate_norm() -> None:
    generate(
        hugectr.Norm,
        "./wdl_norm/file_list.txt",
        "./wdl_norm/file_list_test.txt",
        28,
        i64_input_key=True,
        num_files=12,
        eval_num_files=12,
        num_samples_per_file=64,
        nnz_array=[2, 2] + [1] * 26,
    )


def wide_and_deep() -> list[hugectr.DataReaderSparseParam]:
    return [
        hugectr.DataReaderSparseParam("wide_data", 2, True, 2),
        hugectr.DataReaderSparseParam("deep_data", 1, True, 26),
    ]


def add_dense_layers(model: hugectr.Model, embedding: str, width: int) -> None:
    layer, kind = hugectr.DenseLayer, hugectr.Layer_t
    model.add(layer(kind.Reshape, [embedding], ["reshape1"], leading_dim=width))
    model.add(layer(kind.Concat, ["reshape1", "dense"], ["concat1"]))
    model.add(layer(kind.InnerProduct, ["concat1"], ["fc1"], num_output=1))


def add_loss(model: hugectr.Model, bottom: str = "fc1") -> None:
    model.add(hugectr.DenseLayer(hugectr.Layer_t.BinaryCrossEntropyLoss, [bottom, "label"], ["loss"]))


def norm_script() -> Script:
    generate_norm()
    script = Script()
    for text in (documented.SOLVER, documented.NORM_READER, documented.OPTIMIZER):
        script.run(text)
    return script


def wdl_script() -> Script:
    script = norm_script()
    model = script.make_model(wide_and_deep())
    script.run(documented.TWO_EMBEDDINGS)
    add_dense_layers(model, "sparse_embedding1", 416)
    model.add(hugectr.DenseLayer(hugectr.Layer_t.Reshape, ["sparse_embedding2"], ["reshape2"], leading_dim=2))
    model.add(hugectr.DenseLayer(hugectr.Layer_t.ReduceSum, ["reshape2"], ["reducesum1"], axis=1))
    model.add(hugectr.DenseLayer(hugectr.Layer_t.Add, ["fc1", "reducesum1"], ["add1"]))
    add_loss(model, "add1")
    model.compile()
    return script


def evaluate(model: hugectr.Model, batches: int = 3) -> float:
    model.get_data_reader_eval().set_source()
    for _ in range(batches):
        assert model.eval()
    return model.get_eval_metrics()[0][1]


def test_norm_training_saving_and_loading() -> None:
    script = wdl_script()
    model = script.model
    model.fit(max_iter=30, display=10, eval_interval=20, snapshot=0)
    model.save_params_to_files("wdl_", 4000)
    before = evaluate(model)
    model.fit(max_iter=30, display=0, eval_interval=0, snapshot=0)
    model.save_params_to_files("wdl_", 4001)  # AUC need not change in so few steps
    assert Path("wdl__dense_4001.model").read_bytes() != Path("wdl__dense_4000.model").read_bytes()
    script.run(documented.LOAD_SPARSE_WEIGHTS)
    model.load_dense_weights("wdl__dense_4000.model")
    assert evaluate(model) == before


def test_freezing_all_and_one() -> None:
    script = wdl_script()
    model = script.model
    model.fit(max_iter=13, display=0, eval_interval=0, snapshot=0)  # every key has its row from now on
    script.run(documented.FREEZE_EMBEDDING)
    model.freeze_dense()
    before = evaluate(model)
    for _ in range(5):
        assert model.train()
    assert evaluate(model) == before
    model.unfreeze_embedding("sparse_embedding2")
    for _ in range(50):  # the AUC of so few samples moves in steps
        model.train()
    assert evaluate(model) != before


def test_export_predictions() -> None:
    script = wdl_script()
    script.model.start_data_reading()
    script.names["train_steps"] = 2
    script.run(documented.EXPORT_PREDICTIONS)
    for step in range(2):
        predictions, labels = np.loadtxt(f"predictions{step}"), np.loadtxt(f"label{step}")
        assert predictions.shape == labels.shape == (3 * 64,)
        assert ((predictions > 0) & (predictions < 1)).all()
        assert set(labels) == {0.0, 1.0}


def test_group_dense_layer() -> None:
    script = norm_script()
    model = script.make_model(wide_and_deep())
    model.add(
        hugectr.SparseEmbedding(
            hugectr.Embedding_t.LocalizedSlotSparseEmbeddingHash, 1, 4, "sum", "sparse_embedding1", "deep_data"
        )
    )
    script.run(documented.GROUP_DENSE_LAYER)
    model.compile()
    model.fit(max_iter=3, display=1, eval_interval=2)


def test_raw() -> None:
    generate(
        hugectr.Raw,
        "./wdl_raw/train_data.bin",
        "./wdl_raw/validation_data.bin",
        26,
        i64_input_key=False,
        num_samples=64 * 8,
        eval_num_samples=64 * 4,
    )
    script = Script()
    script.run(documented.SOLVER.replace("i64_input_key = True", "i64_input_key = False"))  # Raw has 32-bit keys
    script.run(documented.RAW_READER)
    script.run(documented.OPTIMIZER)
    model = script.make_model([hugectr.DataReaderSparseParam("data1", 1, True, 26)])
    model.add(
        hugectr.SparseEmbedding(
            embedding_type=hugectr.Embedding_t.LocalizedSlotSparseEmbeddingOneHot,
            slot_size_array=[20] * 26,
            embedding_vec_size=4,
            combiner="sum",
            sparse_embedding_name="sparse_embedding1",
            bottom_name="data1",
            optimizer=hugectr.CreateOptimizer(hugectr.Optimizer_t.SGD),  # the only one for one-hot embeddings
        )
    )
    add_dense_layers(model, "sparse_embedding1", 104)
    add_loss(model)
    model.compile()
    model.fit(max_iter=10, display=5, eval_interval=5)


def write_parquet(metadata: str) -> None:
    random = np.random.default_rng(1)
    for part in ("train", "val"):
        os.makedirs(f"parquet_data/{part}", exist_ok=True)
        for i in range(2):
            frame = pd.DataFrame({"label": random.integers(0, 2, 512).astype("float32")})
            for name in ("I1", "I2", "I3"):
                frame[name] = random.random(512, dtype="float32")
            for name, size in (("C1", 10000), ("C2", 50000), ("C3", 20000), ("C4", 300)):
                frame[name] = random.integers(0, size, 512)
            frame.to_parquet(f"parquet_data/{part}/file{i}.parquet")
        files = "".join(f"./parquet_data/{part}/file{i}.parquet\n" for i in range(2))
        Path(f"parquet_data/{part}/_file_list.txt").write_text("2\n" + files)
        Path(f"parquet_data/{part}/_metadata.json").write_text(small(metadata))


@pytest.mark.parametrize(
    "metadata, reader, slots, dense_dim",
    [
        (documented.PARQUET_METADATA, documented.PARQUET_READER, 4, 3),
        (documented.PARQUET_METADATA_FEWER, documented.PARQUET_READER_FEWER, 2, 2),
    ],
)
def test_parquet(metadata: str, reader: str, slots: int, dense_dim: int) -> None:
    write_parquet(metadata)
    script = Script()
    script.run(documented.SOLVER)
    script.run(reader)
    script.run(documented.OPTIMIZER)
    model = script.make_model([hugectr.DataReaderSparseParam("data1", 1, True, slots)], dense_dim)
    model.add(
        hugectr.SparseEmbedding(
            hugectr.Embedding_t.DistributedSlotSparseEmbeddingHash, 4, 4, "sum", "sparse_embedding1", "data1"
        )
    )
    add_dense_layers(model, "sparse_embedding1", 4 * slots)
    add_loss(model)
    model.compile()
    model.fit(max_iter=10, display=5, eval_interval=5)


def test_async_param() -> None:
    script = Script()
    script.run(documented.ASYNC_PARAM)
    assert script.async_param.shuffle and script.async_param.num_threads == 32
