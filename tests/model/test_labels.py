# SPDX-License-Identifier: Apache-2.0
"""Labels that a loss does not take: refused where the loss would be unbounded, else warned about once; and metrics."""

from __future__ import annotations

import hugectr
import numpy as np
import pytest
from harness import training
from harness.declaration import Declaration, Embedding, Label, SparseInput, node
from harness.reference import Bags, Batch
from harness.reference_optimizers import Optimizer
from model.tiny import KEYS

SGD = Optimizer("SGD")
WIDTH = {"BinaryCrossEntropyLoss": 1, "CrossEntropyLoss": 2, "MultiCrossEntropyLoss": 3}
LABELS = {"BinaryCrossEntropyLoss": 1, "CrossEntropyLoss": 1, "MultiCrossEntropyLoss": 3}


def model_of(folder, loss: str, values: list[float], **options):
    """One batch of four samples; the label of sample 2 (its last column) is the bad one of `values`, one a batch."""
    columns = LABELS[loss]
    declaration = Declaration(
        "labels", 2, (SparseInput("data1", (8, 293)),), (Embedding("embedding", "data1", 2),),
        (
            node("Reshape", "embedding", "flat", leading_dim=4),
            node("Concat", "flat dense", "all"),
            node("InnerProduct", "all", "fc", num_output=WIDTH[loss]),
            node(loss, "fc click", "loss"),
        ),
        (Label("click", columns),),
    )  # fmt: skip
    batches = []
    for value in values:
        label = np.tile(np.array([[0], [1], [0], [1]], np.float32), (1, columns))
        label[2, -1] = value
        bags = Bags(2, np.arange(9), np.tile(KEYS, 4))
        batches.append(Batch(label, np.ones((4, 2), np.float32), {"data1": bags}))
    source = training.write_norm(folder, declaration, batches)
    model = training.create_model(declaration, SGD, source, batch_size=4, lr=0.1, **options)
    model.start_data_reading()
    return model


@pytest.mark.parametrize(
    "loss, value",
    [
        ("BinaryCrossEntropyLoss", 2.0),
        ("BinaryCrossEntropyLoss", -1.0),
        ("BinaryCrossEntropyLoss", 1.5),
        ("MultiCrossEntropyLoss", 2.0),
        ("MultiCrossEntropyLoss", -0.25),
    ],
)
@pytest.mark.parametrize("ranks", [1, 2])
def test_labels_that_make_a_loss_unbounded_are_refused(loss, value, ranks, tmp_path):
    model = model_of(tmp_path, loss, [0.0, value], ranks=ranks)
    words = rf'0.data", sample 6: label "click" is {value:g}; {loss} takes labels from 0 to 1'
    for call in (model.train, model.eval):
        assert call()
        with pytest.raises(hugectr.InvalidArgumentError, match=words):
            call()
        assert call()  # the next batch


def test_what_the_losses_do_take(tmp_path, capfd):
    training.train(model_of(tmp_path / "a", "BinaryCrossEntropyLoss", [0.3, 1.0]), 2)
    training.train(model_of(tmp_path / "b", "MultiCrossEntropyLoss", [-1.0, 0.5, -7.0]), 3)
    assert "WARNING" not in capfd.readouterr().out


def test_labels_of_a_bounded_loss_are_warned_about_once(tmp_path, capfd):
    model = model_of(tmp_path, "CrossEntropyLoss", [2.0, -1.0])
    training.train(model, 4)
    out = capfd.readouterr().out
    assert out.count('1 of 4 labels "click" of a batch are outside of the 0 to 1') == 1
    assert 'the first, 2, is that of "' in out and '0.data", sample 2\n' in out
    assert out.count("outside of the 0 to 1") == 1


def test_auc_of_labels_between_the_classes_is_warned_about_once(tmp_path, capfd):
    model = model_of(tmp_path, "BinaryCrossEntropyLoss", [0.75])
    for _ in range(3):
        assert model.eval()
    assert capfd.readouterr().out.count("1 of 4 labels of a batch are between 0 and 1; AUC takes") == 1


def write_set(folder, format, labels):
    rows = len(labels)
    keys = np.tile(np.array([[3, 4]]), (rows, 1))
    if format == "Norm":
        hugectr.tools.write_norm(folder / "b.data", labels, np.ones((rows, 2)), [[[3]] * rows, [[4]] * rows])
        hugectr.tools.write_norm(folder / "a.data", [0.0] * 3, np.ones((3, 2)), [[[3]] * 3, [[4]] * 3])
        hugectr.tools.write_file_list(folder / "list", [str(folder / "a.data"), str(folder / "b.data")])
        return folder / "list"
    if format == "Raw":
        hugectr.tools.write_raw(folder / "b.data", labels, np.ones((rows, 2)), keys, float_label_dense=True)
        return folder / "b.data"
    table = {"y": labels, "d0": [1.0] * rows, "d1": [1.0] * rows, "k0": ["a"] * rows, "k1": ["b"] * rows}
    hugectr.tools.to_parquet(table, folder / "set", labels="y", numeric=["d0", "d1"], categorical=["k0", "k1"])
    return folder / "set" / "_file_list.txt"


@pytest.mark.parametrize(
    ("format", "place"),
    [("Norm", 'b.data", sample 2:'), ("Raw", 'b.data", sample 2:'), ("Parquet", '.parquet", row 2:')],
)
@pytest.mark.parametrize("batch_size", [2, 4])
def test_every_format_says_where_a_label_is(format, place, batch_size, tmp_path):
    """Norm: in the second of two files."""
    source = write_set(tmp_path, format, [0.0, 1.0, 7.0, 0.0, 1.0, 0.0, 0.0, 1.0])
    declaration = Declaration(
        "labels", 2, (SparseInput("data1", (8, 293)),), (Embedding("embedding", "data1", 2),),
        (
            node("Reshape", "embedding", "flat", leading_dim=4),
            node("Concat", "flat dense", "all"),
            node("InnerProduct", "all", "fc", num_output=1),
            node("BinaryCrossEntropyLoss", "fc label", "loss"),
        ),
    )  # fmt: skip
    reader = {"data_reader_type": getattr(hugectr.DataReaderType_t, format), "check_type": hugectr.Check_t.Sum}
    if format == "Raw":
        reader.update(float_label_dense=True, shuffle=False, check_type=hugectr.Check_t.Non)
    model = training.create_model(
        declaration, SGD, str(source), batch_size=batch_size, reader=reader, i64_input_key=format == "Parquet"
    )
    model.start_data_reading()
    with pytest.raises(hugectr.InvalidArgumentError) as error:
        training.train(model, 4)
    assert place in str(error.value), str(error.value)
