# SPDX-License-Identifier: Apache-2.0
"""One, two and four ranks train the same model: only the order of some sums differs."""

from __future__ import annotations

from dataclasses import replace

import hugectr
import numpy as np
import pytest
from harness import reference, training
from harness.declaration import Declaration, node
from harness.reference_optimizers import Optimizer
from model.small_models import MODELS, small

BATCH, STEPS = 32, 20


def with_dropout(declaration: Declaration) -> Declaration:
    """Drops half of the first ReLU's output."""
    first = next(i for i, n in enumerate(declaration.nodes) if n.type == "ReLU")
    relu = declaration.nodes[first]
    renamed = replace(relu, tops=("before_dropout",))
    dropout = node("Dropout", "before_dropout", relu.tops[0], dropout_rate=0.5)
    return replace(declaration, nodes=(*declaration.nodes[:first], renamed, dropout, *declaration.nodes[first + 1 :]))


def run(folder, declaration, source, ranks, **options):
    model = training.create_model(
        declaration,
        Optimizer("Adam"),
        source,
        batch_size=BATCH,
        ranks=ranks,
        lr=0.01,
        metrics_spec={hugectr.MetricsType.AUC: 1.0, hugectr.MetricsType.AverageLoss: 0.0},
        **options,
    )
    model.start_data_reading()
    losses = training.train(model, STEPS)
    metrics = training.evaluate(model, 5)
    model.save_params_to_files(str(folder / f"ranks{ranks}"))
    return losses, metrics


def check_agreement(folder, declaration, source, **options):
    one = run(folder, declaration, source, 1, **options)
    for ranks in (2, 4):
        losses, metrics = run(folder, declaration, source, ranks, **options)
        np.testing.assert_allclose(losses, one[0], rtol=1e-6)
        assert metrics["AverageLoss"] == pytest.approx(one[1]["AverageLoss"], rel=1e-6)
        assert metrics["AUC"] == pytest.approx(one[1]["AUC"], abs=1e-4)
        for i, e in enumerate(declaration.embeddings):
            tables = [training.read_table(folder / f"ranks{r}{i}_sparse_0.model", e.dim) for r in (1, ranks)]
            np.testing.assert_array_equal(tables[1][0], tables[0][0])
            np.testing.assert_allclose(tables[1][1], tables[0][1], atol=2e-6)


@pytest.mark.parametrize("combiner", ["sum", "mean"])
@pytest.mark.parametrize("kind", ["DistributedSlotSparseEmbeddingHash", "LocalizedSlotSparseEmbeddingHash"])
@pytest.mark.parametrize("name", MODELS)
def test_hash_embeddings(name, kind, combiner, tmp_path):
    declaration = small(name, nnz=3, fixed=False, embedding_type=kind, combiner=combiner)
    rng = np.random.default_rng(3)
    batches = [reference.random_batch(declaration, BATCH, rng) for _ in range(STEPS)]
    check_agreement(tmp_path, declaration, training.write_norm(tmp_path, declaration, batches))


@pytest.mark.parametrize("name", ["deepfm", "dcn", "dlrm"])
def test_one_hot_embeddings(name, tmp_path):
    declaration = small(name, embedding_type=training.ONE_HOT)
    declaration = replace(declaration, embeddings=(replace(declaration.embeddings[0], optimizer=Optimizer("SGD")),))
    rng = np.random.default_rng(3)
    batches = [reference.random_batch(declaration, BATCH, rng) for _ in range(STEPS)]
    source = training.write_raw(tmp_path / "train.bin", declaration, batches)
    samples = BATCH * STEPS
    check_agreement(
        tmp_path,
        declaration,
        source,
        reader={
            "data_reader_type": hugectr.DataReaderType_t.Raw,
            "num_samples": samples,
            "eval_num_samples": samples,
            "float_label_dense": True,
        },
    )


@pytest.mark.parametrize("workers", [1, 2, 3, 12])
@pytest.mark.parametrize("format", ["Norm", "Parquet", "Raw", "RawAsync"])
def test_batches_depend_on_the_number_of_workers_alone(format, workers, tmp_path):
    """Three files, or a file with an incomplete last batch."""
    declaration = small("dcn")
    rng = np.random.default_rng(3)
    batches = [reference.random_batch(declaration, BATCH, rng) for _ in range(7)]
    reader = {"data_reader_type": getattr(hugectr.DataReaderType_t, format), "num_workers": workers}
    if format == "Norm":
        source = training.write_norm(tmp_path, declaration, batches, files=3)
    elif format == "Parquet":
        source = training.write_parquet_files(tmp_path / "d", declaration, batches, files=3)
    else:
        source = training.write_raw(tmp_path / "train.bin", declaration, batches)
        values = np.fromfile(source, "<u4").reshape(7 * BATCH, -1)[:-5]
        if format == "RawAsync":
            numbers = values[:, : 1 + declaration.dense_dim]
            numbers[:] = np.abs(numbers.view("<f4")).astype("<u4")
        values.tofile(source)
        reader.update(float_label_dense=format == "Raw", slot_size_array=list(declaration.inputs[0].slot_sizes))
    check_agreement(tmp_path, declaration, source, reader=reader)


def test_dropout_masks_belong_to_samples(tmp_path):
    declaration = with_dropout(small("dcn"))
    rng = np.random.default_rng(3)
    batches = [reference.random_batch(declaration, BATCH, rng) for _ in range(STEPS)]
    check_agreement(tmp_path, declaration, training.write_norm(tmp_path, declaration, batches))
