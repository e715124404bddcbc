# SPDX-License-Identifier: Apache-2.0
"""Several labels, each with its loss and weight, follow the NumPy reference."""

from __future__ import annotations

import resource

import hugectr
import numpy as np
import pytest
from harness import reference, training
from harness.declaration import Declaration, Embedding, Label, SparseInput, node
from harness.reference_optimizers import Optimizer
from sklearn.metrics import log_loss, ndcg_score, roc_auc_score

BATCH, STEPS = 16, 10


def multi_task(weights: tuple[float, float, float]) -> Declaration:
    """Binary, two-class and (some labels missing) multi-column losses on one shared layer."""
    labels = (Label("click", 1, weights[0]), Label("buy", 1, weights[1]), Label("tags", 3, weights[2]))
    nodes = (
        node("Reshape", "embedding", "flat", leading_dim=8),
        node("Concat", "flat dense", "concat"),
        node("InnerProduct", "concat", "fc", num_output=6),
        node("ReLU", "fc", "shared"),
        node("InnerProduct", "shared", "click_logit", num_output=1),
        node("InnerProduct", "shared", "buy_logit", num_output=2),
        node("InnerProduct", "shared", "tags_logit", num_output=3),
        node("BinaryCrossEntropyLoss", "click_logit click", "click_loss"),
        node("CrossEntropyLoss", "buy_logit buy", "buy_loss"),
        node("MultiCrossEntropyLoss", "tags_logit tags", "tags_loss", target_weight_vec=[1.0, 2.0, 0.5]),
    )
    return Declaration(
        "tasks", 3, (SparseInput("data1", (9, 7)),), (Embedding("embedding", "data1", 4),), nodes, labels
    )


def random_batches(declaration):
    rng = np.random.default_rng(3)
    batches = [reference.random_batch(declaration, BATCH, rng) for _ in range(STEPS)]
    for batch in batches:
        batch.label[:, 2:][rng.random((BATCH, 3)) < 0.2] = -1
    return batches


@pytest.mark.parametrize("ranks", [1, 2])
@pytest.mark.parametrize("weights", [(1.0, 1.0, 1.0), (0.5, 2.0, 0.25)])
def test_weighted_losses(weights, ranks, tmp_path):
    declaration, optimizer = multi_task(weights), Optimizer("Adam")
    batches = random_batches(declaration)
    dense, tables = reference.initial_weights(declaration, 1), reference.initial_tables(declaration, 2)
    source = training.write_norm(tmp_path, declaration, batches)
    model = training.create_model(declaration, optimizer, source, batch_size=BATCH, ranks=ranks, lr=0.01)
    training.load_weights(model, tmp_path / "start", declaration, dense, tables)
    model.start_data_reading()
    expected = reference.Model(declaration, optimizer, dense, tables, BATCH)
    losses = [expected.step(batch, 0.01) for batch in batches]
    np.testing.assert_allclose(training.train(model, STEPS), losses, rtol=1e-6)
    model.save_params_to_files(str(tmp_path / "end"))
    got = np.fromfile(tmp_path / "end_dense_0.model", "<f4")
    np.testing.assert_allclose(got, expected.dense_vector(), atol=2e-6)


def test_weights_given_to_compile_are_the_same(tmp_path):
    """compile(loss_names, loss_weights) equals label_weights; labels that are not named keep 1."""
    losses = []
    for inputs, arguments in (((0.5, 1.0, 3.0), ()), ((1.0, 1.0, 1.0), (["tags", "click"], [3.0, 0.5]))):
        declaration = multi_task(inputs)
        source = training.write_norm(tmp_path, declaration, random_batches(declaration))
        model = training.create_model(declaration, Optimizer("SGD"), source, batch_size=BATCH, lr=0.1, compile=False)
        model.compile(*arguments)
        model.start_data_reading()
        losses.append(training.train(model, STEPS))
    assert losses[0] == losses[1]


def test_wrong_loss_names(tmp_path):
    declaration = multi_task((1.0, 1.0, 1.0))
    source = training.write_norm(tmp_path, declaration, random_batches(declaration))
    for arguments, word in (((["clik"], [1.0]), "clik.*click"), ((["click"], [1.0, 2.0]), "loss_weights")):
        model = training.create_model(declaration, Optimizer("SGD"), source, batch_size=BATCH, compile=False)
        with pytest.raises(RuntimeError, match=f"(?s){word}"):
            model.compile(*arguments)


def test_metrics_of_each_label(tmp_path):
    declaration = multi_task((1.0, 1.0, 1.0))
    source = training.write_norm(tmp_path, declaration, random_batches(declaration))
    model = training.create_model(
        declaration, Optimizer("SGD"), source, batch_size=BATCH, metrics_spec={hugectr.MetricsType.AverageLoss: 0.0}
    )
    model.start_data_reading()
    training.train(model, 1)
    values = training.evaluate(model, 3)
    parts = [values[f"AverageLoss:{label.name}"] for label in declaration.labels]
    assert values["AverageLoss"] == pytest.approx(np.mean(parts)) and len(set(parts)) == 3


@pytest.mark.parametrize("ranks", [1, 2])
def test_metrics_of_two_classes_are_of_the_second(ranks, tmp_path):
    """What scikit-learn says of the predictions that are exported."""
    declaration = multi_task((1.0, 1.0, 1.0))
    batches = random_batches(declaration)
    for batch in batches:
        batch.label[:, 1] = batch.dense[:, 0] > np.median(batch.dense[:, 0])
    source = training.write_norm(tmp_path, declaration, batches)
    names = ["AUC", "AverageLoss", "LogLoss", "Calibration", "HitRate", "SMAPE", "NDCG", "NormalizedEntropy"]
    model = training.create_model(
        declaration, Optimizer("Adam"), source, batch_size=BATCH, ranks=ranks, lr=0.05,
        metrics_spec={getattr(hugectr.MetricsType, name): 1.0 for name in names},
    )  # fmt: skip
    model.start_data_reading()
    training.train(model, 30)
    model.get_data_reader_eval().set_source(source)
    values = training.evaluate(model, STEPS)
    model.get_data_reader_eval().set_source(source)
    for _ in range(STEPS):
        model.eval()
        model.export_predictions(tmp_path / "predictions", tmp_path / "labels")
    click = np.loadtxt(tmp_path / "predictions").reshape(-1, 6)[:, 2]
    label = np.loadtxt(tmp_path / "labels").reshape(-1, 5)[:, 1]
    assert values["AUC:buy"] == pytest.approx(roc_auc_score(label, click), rel=1e-6) and values["AUC:buy"] > 0.6
    assert values["LogLoss:buy"] == pytest.approx(log_loss(label, click), rel=1e-5)
    assert values["AverageLoss:buy"] == pytest.approx(values["LogLoss:buy"], rel=1e-5)
    assert values["Calibration:buy"] == pytest.approx(click.sum() / label.sum(), rel=1e-5)
    assert values["NDCG:buy"] == pytest.approx(ndcg_score([label], [click]), rel=1e-5)


@pytest.mark.parametrize("ranks", [1, 2])
def test_predictions_of_all_labels_are_exported(ranks, tmp_path):
    """A sample after the other, the columns of all labels side by side; an incomplete batch has its true size."""
    declaration = multi_task((1.0, 1.0, 1.0))
    batches = random_batches(declaration)[:2] + [reference.random_batch(declaration, 3, np.random.default_rng(9))]
    dense, tables = reference.initial_weights(declaration, 1), reference.initial_tables(declaration, 2)
    source = training.write_norm(tmp_path, declaration, batches)
    model = training.create_model(
        declaration, Optimizer("SGD"), source, batch_size=BATCH, ranks=ranks, repeat_dataset=False
    )
    training.load_weights(model, tmp_path / "start", declaration, dense, tables)
    model.get_data_reader_train().set_source(source)
    model.get_data_reader_eval().set_source(source)
    files = [tmp_path / "predictions", tmp_path / "labels"]
    while model.eval():
        model.export_predictions(*files)
    predictions, labels = (np.loadtxt(file) for file in files)
    columns = np.concatenate([batch.label for batch in batches])
    np.testing.assert_array_equal(labels.reshape(-1, 5), columns)
    expected = reference.Model(declaration, Optimizer("SGD"), dense, tables, BATCH)
    rows = [np.concatenate(all_predictions(expected, batch), 1) for batch in batches]
    np.testing.assert_allclose(predictions.reshape(-1, 6), np.concatenate(rows), atol=1e-6)  # buy has two columns


def all_predictions(model: reference.Model, batch: reference.Batch) -> list[np.ndarray]:
    """Probabilities of each loss, in the order of the labels."""
    model.forward(batch, training=False)
    nodes = zip(model.declaration.nodes, model.layers)
    return [layer.y for node, layer in nodes if node.type.endswith("Loss")]


def test_predictions_after_a_training_step_are_those_of_the_evaluation(tmp_path):
    """The training batch is larger than the evaluation's."""
    declaration = multi_task((1.0, 1.0, 1.0))
    source = training.write_norm(tmp_path, declaration, random_batches(declaration))
    model = training.create_model(declaration, Optimizer("SGD"), source, batch_size=BATCH, batchsize_eval=4)
    model.start_data_reading()
    assert model.eval()
    model.export_predictions(tmp_path / "p", tmp_path / "l")
    assert model.train()
    model.export_predictions(tmp_path / "p", tmp_path / "l")
    first, second = np.loadtxt(tmp_path / "p").reshape(2, -1)
    assert len(first) == 4 * 6
    np.testing.assert_array_equal(second, first)


def test_a_failed_export_leaves_the_file_as_it_was(tmp_path):
    declaration = multi_task((1.0, 1.0, 1.0))
    source = training.write_norm(tmp_path, declaration, random_batches(declaration))
    model = training.create_model(declaration, Optimizer("SGD"), source, batch_size=BATCH)
    model.start_data_reading()
    assert model.eval()
    with pytest.raises(OSError, match="no/predictions"):
        model.export_predictions(tmp_path / "no" / "predictions", tmp_path / "l")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    (tmp_path / "p").write_text("0.5 ")
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        with pytest.raises(OSError, match='write ".*/p"'):
            model.export_predictions(tmp_path / "p", tmp_path / "l")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (tmp_path / "p").read_text() == "0.5 " and not (tmp_path / "l").exists()
