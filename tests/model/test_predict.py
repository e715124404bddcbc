# SPDX-License-Identifier: Apache-2.0
"""Model.predict: the same numbers as evaluations export, for whole data sets and for arrays."""

from __future__ import annotations

import os
import signal
import threading
import time
from dataclasses import replace

import hugectr
import numpy as np
import pytest
from harness import reference, training
from harness.declaration import Declaration, Embedding, Label, SparseInput, node
from harness.reference_optimizers import Optimizer
from hugectr._core import default_device
from model.small_models import MODELS, small
from model.test_several_labels import multi_task

BATCH, SAMPLES = 16, 70  # four evaluation batches and a part of one
READERS = hugectr.DataReaderType_t


def declaration(*, nnz: int = 1) -> Declaration:
    nodes = (
        node("Reshape", "embedding", "flat", leading_dim=8),
        node("Concat", "flat dense", "concat"),
        node("InnerProduct", "concat", "fc1", num_output=6),
        node("BatchNorm", "fc1", "norm"),
        node("Dropout", "norm", "dropped", dropout_rate=0.5),
        node("InnerProduct", "dropped", "logit", num_output=1),
        node("BinaryCrossEntropyLoss", "logit label", "loss"),
    )
    inputs = (SparseInput("data1", (9, 7), nnz, fixed=nnz == 1),)
    return Declaration("net", 3, inputs, (Embedding("embedding", "data1", 4),), nodes, (Label("label"),))


def samples(of: Declaration) -> reference.Batch:
    return reference.random_batch(of, SAMPLES, np.random.default_rng(5))


def trained(tmp_path, of, batch, **options):
    """A model that has trained on the samples, which are its evaluation data."""
    source = options.pop("source", None) or training.write_norm(tmp_path / "data", of, [batch])
    options = {"batch_size": BATCH, "lr": 0.05, "repeat_dataset": False, **options}
    model = training.create_model(of, Optimizer("Adam"), source, **options)
    model.fit(num_epochs=2, display=0, eval_interval=0, snapshot=0)
    return model


def arrays(of: Declaration, batch: reference.Batch):
    """Keys as [samples, slots] where each slot has one, else with their offsets."""
    inputs = {"dense": batch.dense}
    for spec in of.inputs:
        bags = batch.sparse[spec.name]
        inputs[spec.name] = bags.keys.reshape(len(batch.label), -1) if spec.fixed else (bags.keys, bags.offsets)
    return inputs


def check(actual, expected):
    """To the last bit on a CPU. A GPU sums the products of a batch of another size in another order."""
    if default_device() == "cpu":
        np.testing.assert_array_equal(actual, expected)
    else:
        np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6)


def exported(model, tmp_path, columns=1):
    """What a pass of evaluations exports."""
    model.get_data_reader_eval().set_source()
    while model.eval():
        model.export_predictions(tmp_path / "p.txt", tmp_path / "l.txt")
    return np.loadtxt(tmp_path / "p.txt").reshape(-1, columns).astype(np.float32)


@pytest.mark.parametrize("ranks", [1, 2])
def test_of_the_evaluation_data_of_a_source_and_of_arrays(tmp_path, ranks):
    of = declaration()
    batch = samples(of)
    model = trained(tmp_path, of, batch, ranks=ranks)
    expected = exported(model, tmp_path)
    assert expected.shape == (SAMPLES, 1) and np.ptp(expected) > 0.05
    predictions = model.predict()
    assert predictions.dtype == np.float32
    np.testing.assert_array_equal(predictions, expected)
    np.testing.assert_array_equal(model.predict(tmp_path / "data/list.txt"), expected)
    np.testing.assert_array_equal(model.predict(arrays(of, batch)), expected)
    for size in (0, 1, 15, 16, 17):
        part = {name: values[:size] for name, values in arrays(of, batch).items()}
        check(model.predict(part), expected[:size])


@pytest.mark.parametrize("name", MODELS)
def test_samples_get_what_the_reference_says_in_any_batch(tmp_path, name):
    of, optimizer = small(name), Optimizer("SGD")
    batch = samples(of)
    dense, tables = reference.initial_weights(of, 1), reference.initial_tables(of, 2)
    model = training.create_model(of, optimizer, training.write_norm(tmp_path / "data", of, [batch]), batch_size=BATCH)
    training.load_weights(model, tmp_path / "start", of, dense, tables)
    _, expected = reference.Model(of, optimizer, dense, tables, BATCH).forward(batch, training=False)
    whole = model.predict(arrays(of, batch))
    np.testing.assert_allclose(whole, expected.reshape(SAMPLES, 1), rtol=1e-5)
    np.testing.assert_array_equal(model.predict(), whole)
    for size in (*range(1, 19), 31, 32, 33):
        part = {}
        for key, values in arrays(of, batch).items():
            if isinstance(values, tuple):
                offsets = values[1][: size * batch.sparse[key].slots + 1]
                part[key] = values[0][: offsets[-1]], offsets
            else:
                part[key] = values[:size]
        check(model.predict(part), whole[:size])


def test_samples_that_meet_are_computed_in_a_whole_batch(tmp_path):
    """Two samples make a row of the product, so that odd numbers of samples do not divide into rows."""
    nodes = (
        node("Reshape", "embedding", "pairs", leading_dim=16),
        node("InnerProduct", "pairs", "fc", num_output=2),
        node("Reshape", "fc", "logit", leading_dim=1),
        node("BinaryCrossEntropyLoss", "logit label", "loss"),
    )
    of = replace(declaration(nnz=3), nodes=nodes, dense_dim=0)
    batch = samples(of)
    model = trained(tmp_path, of, batch)
    keys, offsets = batch.sparse["data1"].keys, batch.sparse["data1"].offsets
    whole = model.predict({"data1": (keys, offsets)})
    assert whole.shape == (SAMPLES, 1)
    five = model.predict({"data1": (keys[: offsets[10]], offsets[:11])})
    check(five[:4], whole[:4])
    padded = np.append(offsets[:11], [offsets[10], offsets[10]])
    check(five, model.predict({"data1": (keys[: offsets[10]], padded)})[:5])


def test_no_sample_is_left_out(tmp_path):
    """Not even where evaluations leave out what fills no batch."""
    of = declaration()
    batch = samples(of)
    model = trained(tmp_path, of, batch, reader={"drop_incomplete_batch": True})
    np.testing.assert_array_equal(model.predict(), model.predict(arrays(of, batch)))
    assert len(exported(model, tmp_path)) == SAMPLES // BATCH * BATCH


def test_files_are_read_in_their_order(tmp_path):
    """However many workers an evaluation has, whose batches take turns."""
    of = declaration()
    batch = samples(of)
    source = training.write_norm(tmp_path / "three", of, [batch], files=3)
    model = trained(tmp_path, of, batch, source=source, reader={"num_workers": 3})
    whole = model.predict(arrays(of, batch))
    check(model.predict(), np.concatenate([whole[k::3] for k in range(3)]))


@pytest.mark.parametrize("format", [READERS.Raw, READERS.Parquet])
def test_keys_are_those_of_the_files(tmp_path, format):
    of = declaration()
    batch = samples(of)
    local = arrays(of, batch)
    local["data1"] = local["data1"] - np.array([0, 9])
    if format is READERS.Parquet:
        bags = reference.Bags(2, batch.sparse["data1"].offsets, local["data1"].reshape(-1))
        source = training.write_parquet_files(tmp_path / "p", of, [replace(batch, sparse={"data1": bags})], 1)
    else:
        source = training.write_raw(tmp_path / "data.raw", of, [batch])
    norm = trained(tmp_path, of, batch)
    norm.save_params_to_files(tmp_path / "weights")
    reader = {"data_reader_type": format, "check_type": hugectr.Check_t.Non, "slot_size_array": [9, 7]}
    if format is READERS.Raw:
        reader["float_label_dense"] = True
    model = training.create_model(of, Optimizer("Adam"), source, batch_size=BATCH, reader=reader)
    model.load_params_from_files(tmp_path / "weights")
    expected = norm.predict(arrays(of, batch))
    np.testing.assert_array_equal(model.predict(), expected)
    np.testing.assert_array_equal(model.predict(source), expected)
    np.testing.assert_array_equal(model.predict(local), expected)
    with pytest.raises(hugectr.InvalidArgumentError, match=r'sample 0, slot 1 of "data1": key 7 is not in \[0, 6\]'):
        model.predict({"dense": local["dense"][:1], "data1": [[0, 7]]})


@pytest.mark.parametrize("i64", [False, True])
def test_raw_async(tmp_path, i64):
    """Whose readers know no end."""
    of = declaration()
    batch = samples(of)
    local = batch.sparse["data1"].keys.reshape(SAMPLES, 2) - np.array([0, 9])
    counts = np.random.default_rng(2).integers(0, 50, (SAMPLES, 3))
    numbers = np.concatenate([batch.label, counts], 1).astype("<i4")
    keys = local.astype("<i8" if i64 else "<i4")
    (tmp_path / "data.raw").write_bytes(b"".join(n.tobytes() + k.tobytes() for n, k in zip(numbers, keys)))
    reader = {"data_reader_type": READERS.RawAsync, "check_type": hugectr.Check_t.Non, "slot_size_array": [9, 7]}
    reader["float_label_dense"] = False
    source = str(tmp_path / "data.raw")
    model = training.create_model(
        of, Optimizer("Adam"), source, batch_size=BATCH, lr=0.05, reader=reader, i64_input_key=i64
    )
    model.fit(max_iter=20, display=0, eval_interval=0, snapshot=0)
    predictions = model.predict()
    assert predictions.shape == (SAMPLES, 1) and np.ptp(predictions) > 0.05
    dense = np.log(counts.astype(np.float32) + 1)
    np.testing.assert_allclose(model.predict({"dense": dense, "data1": local}), predictions, rtol=1e-5)
    np.testing.assert_array_equal(model.predict(source), predictions)


def test_several_keys_a_slot(tmp_path):
    of = declaration(nnz=3)
    batch = samples(of)
    model = trained(tmp_path, of, batch)
    bags = batch.sparse["data1"]
    expected = model.predict()
    dense = batch.dense
    np.testing.assert_array_equal(model.predict({"dense": dense, "data1": (bags.keys, bags.offsets)}), expected)
    three = np.random.default_rng(1).integers(0, 9, (SAMPLES, 2, 3))
    pair = (three.reshape(-1), np.arange(SAMPLES * 2 + 1) * 3)
    got = model.predict({"dense": dense, "data1": three})
    np.testing.assert_array_equal(got, model.predict({"dense": dense, "data1": pair}))
    with pytest.raises(
        hugectr.InvalidArgumentError, match='sample 0, "data1": 8 keys found in the slots up to 1, at most 6'
    ):
        model.predict({"dense": dense, "data1": np.zeros((SAMPLES, 2, 4), int)})


def test_several_labels(tmp_path):
    of = multi_task((1.0, 1.0, 1.0))
    batch = samples(of)
    model = trained(tmp_path, of, batch)
    got = model.predict()
    assert {name: values.shape[1] for name, values in got.items()} == {"click": 1, "buy": 2, "tags": 3}
    np.testing.assert_array_equal(np.concatenate(list(got.values()), 1), exported(model, tmp_path, 6))


def test_nothing_else_notices(tmp_path):
    of = declaration()
    batch = samples(of)
    runs = []
    for predicts in (False, True):
        source = training.write_norm(tmp_path / "data", of, [batch])
        model = training.create_model(of, Optimizer("Adam"), source, batch_size=BATCH, lr=0.05)
        model.start_data_reading()
        losses = []
        for _ in range(6):
            model.train()
            if predicts:
                model.predict({name: values[:5] for name, values in arrays(of, batch).items()})
            model.eval()
            losses.append(model.get_current_loss())
        runs.append((losses, model.get_eval_metrics(), model.predict().tolist()))
    assert runs[0] == runs[1]


def test_unknown_keys_are_zeros(tmp_path):
    of = declaration(nnz=3)
    batch = samples(of)
    model = trained(tmp_path, of, batch)
    dense = batch.dense[:4]
    empty = (np.zeros(0, int), np.zeros(9, int))
    unknown = model.predict({"dense": dense, "data1": np.full((4, 2), 4_000_000)})
    np.testing.assert_array_equal(unknown, model.predict({"dense": dense, "data1": empty}))


def test_callbacks_may_predict(tmp_path):
    of = declaration()
    batch = samples(of)
    seen = []

    class Predicts(hugectr.TrainingCallback):
        def on_eval_end(self, current_iter, eval_results):
            seen.append(self.model.predict(arrays(of, batch)))

    plain = trained(tmp_path, of, batch)
    model = training.create_model(
        of, Optimizer("Adam"), str(tmp_path / "data/list.txt"), batch_size=BATCH, lr=0.05, repeat_dataset=False
    )
    model.fit(num_epochs=2, display=0, eval_interval=2, snapshot=0, callbacks=[Predicts()])
    assert len(seen) == 4 and np.any(seen[0] != seen[-1])
    np.testing.assert_array_equal(model.predict(), plain.predict())


@pytest.mark.parametrize(
    "change, message",
    [
        ({"wide": np.zeros((2, 3))}, 'no input "wide"; the model has dense, data1'),
        ({"data1": None}, 'no array for the input "data1"'),
        ({"dense": np.zeros((2, 4))}, r'"dense" must be numbers \[samples, 3\], got float64 \[2, 4\]'),
        ({"dense": np.full((2, 3), "x")}, r'"dense" must be numbers \[samples, 3\], got <U1 \[2, 3\]'),
        ({"dense": np.zeros((3, 3))}, 'different numbers of samples: "data1" 2, "dense" 3'),
        ({"dense": np.array([[0, 0, 0], [0, np.nan, 0]])}, "sample 1, dense value 1: nan is not a finite"),
        ({"dense": np.full((2, 3), 1e300)}, "sample 0, dense value 0: inf is not a finite"),
        ({"data1": np.zeros((2, 3), int)}, r'"data1" must be keys \[samples, 2\] or .* got \[2, 3\]'),
        ({"data1": np.zeros((2, 2))}, '"data1" must hold integers, got float64'),
        ({"data1": [[1, 2], [3]]}, '"data1" is no array: '),
        ({"data1": (np.zeros(0, int), np.zeros(0, int))}, r"samples \* 2 \+ 1 offsets, got \[0\] and \[0\]"),
        (
            {"data1": np.array([[0, 2**63], [0, 0]], np.uint64)},
            '"data1" has a key of more than 63 bits: 9223372036854775808',
        ),
        ({"data1": [[0, -1], [0, 0]]}, 'sample 0, slot 1 of "data1": key -1 is not in'),
        ({"data1": ([1, 2], [0, 1, 2, 2])}, r"a pair must be keys and samples \* 2 \+ 1 offsets, got \[2\] and \[4\]"),
        ({"data1": ([1, 2], [0, 1, 2, 1, 2])}, '"data1": offsets must be 5 ascending numbers, from 0 to the 2 keys'),
    ],
)
def test_what_is_refused(tmp_path, change, message):
    of = declaration()
    model = training.create_model(of, Optimizer("SGD"), "unread", batch_size=4)
    data = {"dense": np.zeros((2, 3)), "data1": np.zeros((2, 2), int), **change}
    with pytest.raises(hugectr.InvalidArgumentError, match=message):
        model.predict({name: values for name, values in data.items() if values is not None})


def test_a_source_that_is_none(tmp_path):
    of = declaration()
    model = training.create_model(of, Optimizer("SGD"), "unread", batch_size=4)
    with pytest.raises(hugectr.FileError, match="unread"):
        model.predict()
    with pytest.raises(ValueError, match="data must not be empty"):
        model.predict("")
    with pytest.raises(ValueError, match="data_source_params says where a path is, and data is none"):
        model.predict(data_source_params=hugectr.data.DataSourceParams())
    uncompiled = training.create_model(of, Optimizer("SGD"), "unread", batch_size=4, compile=False)
    with pytest.raises(hugectr.HugectrError, match="call compile"):
        uncompiled.predict()


def test_an_interrupt_ends_it(tmp_path):
    of = declaration()
    model = training.create_model(of, Optimizer("SGD"), "unread", batch_size=1)
    count = 3_000_000  # minutes, one by one
    data = {"dense": np.zeros((count, 3), np.float32), "data1": np.zeros((count, 2), int)}
    start = time.monotonic()
    threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        model.predict(data)
    assert time.monotonic() - start < 20
    assert model.predict({name: values[:2] for name, values in data.items()}).shape == (2, 1)
