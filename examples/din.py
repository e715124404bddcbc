# SPDX-License-Identifier: Apache-2.0
"""DIN on generated histories: what a user thought of things like the candidate, and of nothing else, decides.

Every user has met one thing of each of ten categories, liked five and disliked five. The candidate is of one of these
categories, and the label says whether the user liked the one of that category. Each pooled history looks alike (ten
categories, five likes), so that no model of it does better than chance; attention finds the thing that counts.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import hugectr
import numpy as np
from hugectr import Layer_t
from hugectr.tools import write_file_list, write_norm

HISTORY, CATEGORIES, DIM = 10, 40, 16
DISLIKED, LIKED, UNKNOWN = range(3)
WIDTH = 2 * DIM  # of a thing: its category and the reaction to it
NOISE = 0.05  # labels that are the other way round


def write_data(folder: str, samples: int, seed: int) -> str:
    """Norm data of histories whose last slot is the candidate; returns the file list."""
    random = np.random.default_rng(seed)
    categories = random.permuted(np.tile(np.arange(CATEGORIES), (samples, 1)), axis=1)[:, :HISTORY]
    reactions = random.permuted(np.tile([DISLIKED, LIKED], (samples, HISTORY // 2)), axis=1)
    place = random.integers(HISTORY, size=samples)
    every = np.arange(samples)
    label = (reactions[every, place] == LIKED) ^ (random.random(samples) < NOISE)
    category_slots = np.column_stack([categories, categories[every, place]])
    reaction_slots = np.column_stack([reactions, np.full(samples, UNKNOWN)])
    slots = np.hstack([category_slots, reaction_slots]).T[..., None]
    Path(folder).mkdir(parents=True, exist_ok=True)
    write_norm(f"{folder}/{seed}.data", label, None, list(slots))
    write_file_list(f"{folder}/{seed}.txt", [f"{folder}/{seed}.data"])
    return f"{folder}/{seed}.txt"


def create_model(train: str, test: str) -> hugectr.Model:
    """A model with its inputs: ``history`` [batch * 10, 32] and the candidate ``item`` [batch, 32]."""
    solver = hugectr.CreateSolver(
        max_eval_batches=16, batchsize_eval=1024, batchsize=1024, lr=0.005, vvgpu=[[0]], repeat_dataset=True, seed=1
    )
    reader = hugectr.DataReaderParams(
        hugectr.DataReaderType_t.Norm, train, eval_source=test, check_type=hugectr.Check_t.Sum
    )
    optimizer = hugectr.CreateOptimizer(optimizer_type=hugectr.Optimizer_t.Adam, update_type=hugectr.Update_t.Local)
    model = hugectr.Model(solver, reader, optimizer)
    inputs = [hugectr.DataReaderSparseParam(name, 1, True, HISTORY + 1) for name in ("category", "reaction")]
    model.add(hugectr.Input(1, "label", 0, "dense", inputs))
    for sparse in inputs:
        model.add(
            hugectr.SparseEmbedding(
                embedding_type=hugectr.Embedding_t.DistributedSlotSparseEmbeddingHash,
                workspace_size_per_gpu_in_mb=1,
                embedding_vec_size=DIM,
                combiner="sum",
                sparse_embedding_name=f"{sparse.top_name}_embedding",
                bottom_name=sparse.top_name,
                optimizer=optimizer,
            )
        )
    add(model, Layer_t.FusedReshapeConcat, "category_embedding reaction_embedding", "history item")
    return model


def add(model: hugectr.Model, layer: Layer_t, bottoms: str, tops: str, **options: Any) -> None:
    """Adds a layer; names are separated by blanks."""
    model.add(hugectr.DenseLayer(layer, bottoms.split(), tops.split(), **options))


def add_pooling(model: hugectr.Model) -> None:
    """``interest``: the mean of the history."""
    add(model, Layer_t.Reshape, "history", "things", time_step=HISTORY, leading_dim=WIDTH)
    add(model, Layer_t.ReduceMean, "things", "mean", axis=1)
    add(model, Layer_t.Reshape, "mean", "interest", leading_dim=WIDTH)


def add_attention(model: hugectr.Model) -> None:
    """``interest``: the mean of the history, weighted by how each thing and the candidate go together."""
    add(model, Layer_t.Scale, "item", "items", axis=1, factor=HISTORY)  # the candidate beside each thing
    add(model, Layer_t.Sub, "items history", "difference")
    add(model, Layer_t.ElementwiseMultiply, "items history", "product")
    add(model, Layer_t.Concat, "items history difference product", "pairs")
    add(model, Layer_t.InnerProduct, "pairs", "attention1", num_output=40)
    add(model, Layer_t.PReLU_Dice, "attention1", "dice1", elu_alpha=0.2, eps=1e-8)
    add(model, Layer_t.InnerProduct, "dice1", "attention2", num_output=1)
    add(model, Layer_t.Reshape, "attention2", "scores", leading_dim=HISTORY)
    add(model, Layer_t.Softmax, "scores", "softmax")
    add(model, Layer_t.Reshape, "softmax", "weights", time_step=1, leading_dim=HISTORY)
    add(model, Layer_t.Reshape, "history", "things", time_step=HISTORY, leading_dim=WIDTH)
    add(model, Layer_t.MatrixMultiply, "weights things", "weighted")
    add(model, Layer_t.Reshape, "weighted", "interest", leading_dim=WIDTH)


def add_top(model: hugectr.Model) -> None:
    """The click of ``interest`` and ``item``."""
    add(model, Layer_t.Concat, "interest item", "user")
    add(model, Layer_t.InnerProduct, "user", "fc1", num_output=80)
    add(model, Layer_t.PReLU_Dice, "fc1", "dice2", elu_alpha=0.2, eps=1e-8)
    add(model, Layer_t.InnerProduct, "dice2", "fc2", num_output=40)
    add(model, Layer_t.PReLU_Dice, "fc2", "dice3", elu_alpha=0.2, eps=1e-8)
    add(model, Layer_t.InnerProduct, "dice3", "fc3", num_output=1)
    add(model, Layer_t.BinaryCrossEntropyLoss, "fc3 label", "loss")


def main() -> None:
    """Trains both, and shows their AUC on histories that they have not seen."""
    train, test = write_data("output/din_data", 65536, seed=1), write_data("output/din_data", 16384, seed=2)
    results = {}
    for name, add_interest in {"pooled": add_pooling, "din": add_attention}.items():
        model = create_model(train, test)
        add_interest(model)
        add_top(model)
        model.compile()
        model.summary()
        prefix = f"output/din/{name}"
        history = model.fit(max_iter=401, display=100, eval_interval=200, snapshot=400, snapshot_prefix=prefix)
        results[name] = history.metric("AUC")[-1]
    for name, auc in results.items():
        print(f"test AUC, {name}: {auc:.4f}")


if __name__ == "__main__":
    main()
