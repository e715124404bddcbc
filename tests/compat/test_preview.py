# SPDX-License-Identifier: Apache-2.0
"""Release 3.0: the first interface without JSON trains what today's does, to the bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import hugectr
import pytest
from hugectr.errors import HugectrError, UnsupportedError
from hugectr.optimizer import CreateOptimizer, OptParamsBase

from compat import small_data

BATCH = 32
HASH = hugectr.Embedding_t.DistributedSlotSparseEmbeddingHash


def sources(folder: Path) -> tuple[str, str]:
    slots = [lambda i: [i % 9, i % 7 + 20]]
    return small_data.norm(folder, slots), small_data.norm(folder, slots, "test", 64)


def add_dense(model: Any) -> None:
    model.add(hugectr.DenseLayer(hugectr.Layer_t.Reshape, ["e"], ["flat"], leading_dim=4))
    model.add(hugectr.DenseLayer(hugectr.Layer_t.Concat, ["flat", "dense"], ["all"]))
    model.add(hugectr.DenseLayer(hugectr.Layer_t.InnerProduct, ["all"], ["fc"], num_output=1))
    model.add(hugectr.DenseLayer(hugectr.Layer_t.BinaryCrossEntropyLoss, ["fc", "label"], ["loss"]))


def preview(folder: Path, **solver: Any) -> Any:
    train, test = sources(folder)
    parser = hugectr.solver_parser_helper(
        seed=3, max_eval_batches=2, batchsize_eval=BATCH, batchsize=BATCH, vvgpu=[[0]], **solver)  # fmt: skip
    optimizer = CreateOptimizer(optimizer_type=hugectr.Optimizer_t.Adam, learning_rate=0.01, warmup_steps=3,
                                use_mixed_precision=False)  # fmt: skip
    assert isinstance(optimizer, OptParamsBase)
    model: Any = hugectr.Model(parser, optimizer)  # type: ignore[call-arg, arg-type]
    model.add(
        hugectr.Input(  # type: ignore[call-arg]
            data_reader_type=hugectr.DataReaderType_t.Norm, source=train, eval_source=test,
            check_type=hugectr.Check_t.Sum, label_dim=1, label_name="label", dense_dim=small_data.DENSE,
            dense_name="dense", num_workers=1,
            data_reader_sparse_param_array=[
                hugectr.DataReaderSparseParam(hugectr.DataReaderSparse_t.Distributed, 30, 1, 1)],  # type: ignore[arg-type]
            sparse_names=["k"])
    )  # fmt: skip
    model.add(hugectr.SparseEmbedding(HASH, 1000, 4, 0, "e", "k"))  # type: ignore[arg-type]
    add_dense(model)
    model.compile()
    return model


def todays(folder: Path, **solver: Any) -> hugectr.Model:
    train, test = sources(folder)
    model = hugectr.Model(
        hugectr.CreateSolver(seed=3, max_eval_batches=2, batchsize_eval=BATCH, batchsize=BATCH, lr=0.01,
                             warmup_steps=3, **solver),
        hugectr.DataReaderParams(hugectr.Norm, train, eval_source=test, check_type=hugectr.Check_t.Sum, num_workers=1),
        hugectr.CreateOptimizer(),
    )  # fmt: skip
    model.add(hugectr.Input(1, "label", small_data.DENSE, "dense", [hugectr.DataReaderSparseParam("k", 2, False, 1)]))
    model.add(hugectr.SparseEmbedding(HASH, 1, 4, "sum", "e", "k"))
    add_dense(model)
    model.compile()
    return model


def test_iterations(tmp_path: Path) -> None:
    model, expected = preview(tmp_path, max_iter=9, display=2, eval_interval=4), todays(tmp_path)
    assert isinstance(model, hugectr.Model)
    history = model.fit()
    assert history.loss == expected.fit(max_iter=9, display=2, eval_interval=4).loss
    assert model.get_current_loss() == expected.get_current_loss()


def test_epochs(tmp_path: Path) -> None:
    model, expected = preview(tmp_path, repeat_dataset=False), todays(tmp_path, repeat_dataset=False)
    model.fit()  # one epoch
    expected.fit(num_epochs=1)
    assert model.get_current_loss() == expected.get_current_loss()


def test_order_of_parts(tmp_path: Path) -> None:
    parser = hugectr.solver_parser_helper()
    model: Any = hugectr.Model(parser, CreateOptimizer(use_mixed_precision=False))  # type: ignore[call-arg, arg-type]
    assert repr(model) == "Model(no parts yet)"
    with pytest.raises(HugectrError, match="the first part of a model is its Input, which says what data it reads"):
        model.add(hugectr.Input(1, "label", 0, "dense", []))
    with pytest.raises(HugectrError, match=r"compile\(\): the model needs an Input"):
        model.compile()
    with pytest.raises(HugectrError, match=r"call compile\(\) first"):
        model.train()
    with pytest.raises(TypeError, match="use_mixed_precision"):
        CreateOptimizer()
    with pytest.raises(UnsupportedError, match="oversubscriber"):
        hugectr.Model(hugectr.solver_parser_helper(use_model_oversubscriber=True),  # type: ignore[call-arg, arg-type]
                      CreateOptimizer(use_mixed_precision=False))  # fmt: skip
