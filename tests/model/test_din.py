# SPDX-License-Identifier: Apache-2.0
"""The DIN of the releases' samples, from a graph file: attention over ten visited goods, user and candidate."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import hugectr
import numpy as np
import pytest
from hugectr._core import default_device
from hugectr._core.testing import bf16_instructions
from hugectr.tools import write_file_list, write_norm

DIM, SLOTS, BATCH = 18, 11, 32
HISTORY, WIDTH = SLOTS - 1, 2 * DIM
INPUTS = {"UserID": 1, "GoodID": SLOTS, "CateID": SLOTS}


def layer(type: str, bottoms: str, tops: str, **members: Any) -> dict[str, Any]:
    def names(text: str) -> str | list[str]:
        return text.split() if " " in text else text

    return {"type": type, "bottom": names(bottoms), "top": names(tops), **members}


def embedding(name: str) -> dict[str, Any]:
    hyper = {"workspace_size_per_gpu_in_mb": 1, "embedding_vec_size": DIM, "combiner": "sum"}
    return layer("DistributedSlotSparseEmbeddingHash", name, f"{name}_embedding", sparse_embedding_hparam=hyper)


def dense(bottom: str, top: str, width: int, alpha: str = "alpha") -> list[dict[str, Any]]:
    """A layer and its activation, whose slope goes by one of two names."""
    return [
        layer("InnerProduct", bottom, f"{top}_product", fc_param={"num_output": width}),
        layer("PReLU_Dice", f"{top}_product", top, prelu_dice_param={alpha: 0.2, "eps": 1e-8}),
    ]


def graph() -> dict[str, Any]:
    flat = {"leading_dim": HISTORY * WIDTH, "time_step": 0}
    data = {
        "type": "Data",
        "label": {"top": "label", "label_dim": 1},
        "dense": {"top": "dense", "dense_dim": 0},
        "sparse": [
            {"top": name, "type": "DistributedSlot", "nnz_per_slot": [1] * slots, "is_fixed_length": True,
             "slot_num": slots}
            for name, slots in INPUTS.items()
        ],
    }  # fmt: skip
    attention = [
        layer("FusedReshapeConcat", "GoodID_embedding CateID_embedding", "history item"),
        layer("Scale", "item", "items", scale_param={"axis": 1, "factor": HISTORY}),
        layer("Sub", "items history", "difference"),
        layer("DotProduct", "items history", "product"),
        layer("Concat", "items history difference product", "pairs"),
        *dense("pairs", "attention", 40, "elu_alpha"),
        layer("InnerProduct", "attention", "score", fc_param={"num_output": 1}),
        layer("Reshape", "score", "scores", leading_dim=HISTORY, time_step=0),
        layer("Softmax", "scores", "weights"),
        layer("Scale", "weights", "weights_wide", scale_param={"axis": 0, "factor": WIDTH}),
        layer("Reshape", "history", "history_flat", **flat),
        layer("ElementwiseMultiply", "weights_wide history_flat", "weighted"),
        layer("Reshape", "weighted", "weighted_things", leading_dim=WIDTH, time_step=HISTORY),
        layer("ReduceSum", "weighted_things", "interest_slot", axis=1),
        layer("Reshape", "interest_slot", "interest", leading_dim=WIDTH, time_step=0),
        layer("Reshape", "history", "things", leading_dim=WIDTH, time_step=HISTORY),
        layer("ReduceMean", "things", "mean_slot", axis=1),
        layer("Reshape", "mean_slot", "mean", leading_dim=WIDTH, time_step=0),
    ]
    top = [
        layer("FusedReshapeConcatGeneral", "UserID_embedding", "user"),
        layer("Concat", "user item interest mean", "all"),
        *dense("all", "fc1", 200),
        *dense("fc1", "fc2", 80),
        layer("InnerProduct", "fc2", "fc3", fc_param={"num_output": 1}),
        layer("BinaryCrossEntropyLoss", "fc3 label", "loss"),
    ]
    return {"layers": [data, *map(embedding, INPUTS), *attention, *top]}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder, random, samples = tmp_path_factory.mktemp("din"), np.random.default_rng(1), 8 * BATCH
    slots = [random.integers(50, size=(samples, 1)) for _ in range(sum(INPUTS.values()))]
    label = slots[SLOTS] % 2 == 1  # the candidate decides
    write_norm(folder / "0.data", label, None, slots)
    write_file_list(folder / "list.txt", [str(folder / "0.data")])
    return str(folder / "list.txt")


def load(source: str, file: Path, **options: Any) -> hugectr.Model:
    solver = hugectr.CreateSolver(
        batchsize=BATCH, batchsize_eval=BATCH, max_eval_batches=1, lr=0.002, seed=3, **options
    )  # fmt: skip
    reader = hugectr.DataReaderParams(hugectr.Norm, source, eval_source=source, check_type=hugectr.Check_t.Sum)
    model = hugectr.Model(solver, reader, hugectr.CreateOptimizer(hugectr.Adam, hugectr.Update_t.Local))
    model.construct_from_json(str(file), True)
    model.compile()
    return model


def predictions(model: hugectr.Model, folder: Path) -> np.ndarray:
    """Of the first batch."""
    model.start_data_reading()
    model.eval()
    model.export_predictions(str(folder / "predictions"), str(folder / "labels"))
    return np.loadtxt(folder / "predictions")


MIXED = {"use_mixed_precision": True, "mixed_precision_type": "bf16", "scaler": 1024}
LACKING = default_device() == "cpu" and not bf16_instructions()


@pytest.mark.parametrize(
    "options",
    [{}, pytest.param(MIXED, marks=pytest.mark.skipif(LACKING, reason="no bf16 matrix instructions"))],
    ids=["f32", "bf16"],
)
def test_graph_file_loads_trains_and_comes_back(source, tmp_path, options):
    (tmp_path / "din.json").write_text(json.dumps(graph()))
    model = load(source, tmp_path / "din.json", **options)
    losses = [loss for _, loss in model.fit(max_iter=200, display=1, eval_interval=0, snapshot=0).loss]
    assert losses[0] == pytest.approx(np.log(2), abs=0.3)
    assert np.mean(losses[-8:]) < 0.2
    model.save_params_to_files(str(tmp_path / "din"))
    model.graph_to_json(str(tmp_path / "again.json"))

    (tmp_path / "first").mkdir(), (tmp_path / "second").mkdir()
    again = load(source, tmp_path / "again.json", **options)
    again.load_dense_weights(str(tmp_path / "din_dense_0.model"))
    again.load_sparse_weights([str(tmp_path / f"din{i}_sparse_0.model") for i in range(3)])
    expected = predictions(model, tmp_path / "first")
    np.testing.assert_array_equal(predictions(again, tmp_path / "second"), expected)
    assert expected.std() > 0.2


def test_written_graph_keeps_the_layers(source, tmp_path):
    (tmp_path / "din.json").write_text(json.dumps(graph()))
    load(source, tmp_path / "din.json").graph_to_json(str(tmp_path / "again.json"))
    written = {entry["top"]: entry for entry in json.loads((tmp_path / "again.json").read_text())["layers"][1:]
               if isinstance(entry["top"], str)}  # fmt: skip
    assert written["items"]["scale_param"] == {"axis": 1, "factor": 10.0}
    assert written["attention"]["prelu_dice_param"] == {"alpha": pytest.approx(0.2), "eps": pytest.approx(1e-8)}
    assert written["weights"]["type"] == "Softmax"
    assert written["product"]["type"] == "ElementwiseMultiply"
