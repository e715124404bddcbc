# SPDX-License-Identifier: Apache-2.0
"""Scripts that run in a process of their own, on small data sets, with `build()` for a small model."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import hugectr
import numpy as np
from hugectr.tools import DataGenerator, DataGeneratorParams, write_file_list, write_norm

PACKAGE = str(Path(hugectr.__file__).absolute().parents[1])
PRELUDE = """
import hugectr

def build(repeat=True, format=hugectr.Parquet, **solver):
    folder = "parquet" if format is hugectr.Parquet else "norm"
    model = hugectr.Model(
        hugectr.CreateSolver(batchsize=32, batchsize_eval=32, max_eval_batches=2, repeat_dataset=repeat,
                             i64_input_key=True, seed=3, **solver),
        hugectr.DataReaderParams(format, f"{folder}/train.txt", eval_source=f"{folder}/test.txt",
                                 check_type=hugectr.Check_t.Sum if folder == "norm" else hugectr.Check_t.Non,
                                 num_workers=2, slot_size_array=[10] * 3 if format is hugectr.Parquet else []),
        hugectr.CreateOptimizer())
    model.add(hugectr.Input(1, "label", 2, "dense", [hugectr.DataReaderSparseParam("data", 1, True, 3)]))
    model.add(hugectr.SparseEmbedding(hugectr.Embedding_t.DistributedSlotSparseEmbeddingHash, 1, 4, "sum", "e", "data"))
    model.add(hugectr.DenseLayer(hugectr.Layer_t.Reshape, ["e"], ["r"], leading_dim=12))
    model.add(hugectr.DenseLayer(hugectr.Layer_t.Concat, ["r", "dense"], ["c"]))
    model.add(hugectr.DenseLayer(hugectr.Layer_t.InnerProduct, ["c"], ["fc"], num_output=1))
    model.add(hugectr.DenseLayer(hugectr.Layer_t.BinaryCrossEntropyLoss, ["fc", "label"], ["loss"]))
    model.compile()
    return model

def build_wide(devices=1):
    # work enough for all threads
    model = hugectr.Model(
        hugectr.CreateSolver(batchsize=4096, batchsize_eval=4096, seed=3, vvgpu=[list(range(devices))]),
        hugectr.DataReaderParams(hugectr.Norm, "wide/list.txt", eval_source="wide/list.txt",
                                 check_type=hugectr.Check_t.Sum),
        hugectr.CreateOptimizer())
    model.add(hugectr.Input(1, "label", 64, "dense", [hugectr.DataReaderSparseParam("data", 1, True, 8)]))
    model.add(hugectr.SparseEmbedding(hugectr.Embedding_t.LocalizedSlotSparseEmbeddingHash, 1, 16, "sum", "e", "data"))
    model.add(hugectr.DenseLayer(hugectr.Layer_t.Reshape, ["e"], ["r"], leading_dim=128))
    model.add(hugectr.DenseLayer(hugectr.Layer_t.Concat, ["r", "dense"], ["c"]))
    model.add(hugectr.DenseLayer(hugectr.Layer_t.InnerProduct, ["c"], ["fc"], num_output=64))
    model.add(hugectr.DenseLayer(hugectr.Layer_t.InnerProduct, ["fc"], ["out"], num_output=1))
    model.add(hugectr.DenseLayer(hugectr.Layer_t.BinaryCrossEntropyLoss, ["out", "label"], ["loss"]))
    model.compile()
    return model
"""


def make_data(path: Path) -> Path:
    """A folder to run scripts in."""
    for format, name in ((hugectr.Parquet, "parquet"), (hugectr.Norm, "norm")):
        DataGenerator(
            DataGeneratorParams(
                format=format,
                label_dim=1,
                dense_dim=2,
                num_slot=3,
                i64_input_key=True,
                source=str(path / name / "train.txt"),
                eval_source=str(path / name / "test.txt"),
                slot_size_array=[10] * 3,
                num_files=4,
                eval_num_files=2,
                num_samples_per_file=256,
            )
        ).generate()
    random, samples = np.random.default_rng(1), 8192
    (path / "wide").mkdir()
    keys = [random.integers(0, 1000, (samples, 1)) for _ in range(8)]
    write_norm(path / "wide/0.data", random.integers(0, 2, samples), random.random((samples, 64)), keys)
    write_file_list(path / "wide/list.txt", ["wide/0.data"])
    return path


def start(folder: Path, script: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-u", "-c", PRELUDE + script],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": PACKAGE, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(folder: Path, script: str, **environment: str) -> tuple[str, str]:
    process = start(folder, script, **environment)
    try:
        out, err = process.communicate(timeout=100)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    assert process.returncode == 0, err
    return out, err
