# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from harness.readers import batches, make_reader, read_all, samples
from hugectr.errors import FileError, InvalidArgumentError
from hugectr.tools import write_raw

GOLDEN = Path(__file__).parents[1] / "golden"
SPARSE = [("data", [1, 1])]


def reader_of(path, sparse=SPARSE, **fields):
    return make_reader("raw", path, sparse, **{"label_dim": 1, "dense_dim": 2, **fields})


@pytest.mark.parametrize("is_float", [False, True])
def test_golden_bytes_are_written_and_read(tmp_path, is_float):
    golden = GOLDEN / f"raw_{'float' if is_float else 'int'}.bin"
    dense = [0.5, -2.0] if is_float else [3, 0]
    write_raw(tmp_path / "w", [1], [dense], [[7, 5]], float_label_dense=is_float)
    assert (tmp_path / "w").read_bytes() == golden.read_bytes()
    [(label, got, keys)] = read_all(reader_of(golden, float_label_dense=is_float, num_samples=1))
    assert (label, keys) == ([1.0], [[[7], [5]]])
    assert got == (dense if is_float else [float(np.float32(math.log(4))), 0.0])


def numbered(path, count, label_dim=1):
    """Labels 0, 1, ...; keys label + slot."""
    labels = np.tile(np.arange(count)[:, None], (1, label_dim))
    write_raw(path, labels, np.zeros((count, 2)), labels[:, :1] + [0, 1])
    return path


def labels(reader, limit=None):
    return [[int(row[0][0]) for row in samples(b)] for b in batches(reader, limit)]


def test_chunks_rotate_over_workers(tmp_path):
    path = numbered(tmp_path / "x", 7)
    expected = [[0, 1], [2, 3], [4, 5], [6]]
    for workers in (1, 2, 3, 9):
        assert labels(reader_of(path, num_workers=workers)) == expected
    repeating = reader_of(path, num_workers=3, repeat=True)
    assert labels(repeating, 9) == (expected * 3)[:9]


def test_two_label_columns_and_several_inputs(tmp_path):
    path = numbered(tmp_path / "x", 3, label_dim=2)
    rows = read_all(reader_of(path, [("a", [1]), ("b", [1])], label_dim=2))
    assert rows[2] == ([2.0, 2.0], [0.0, 0.0], [[[2]], [[3]]])


def test_shuffle_is_a_function_of_the_seed(tmp_path):
    path = numbered(tmp_path / "x", 41)
    plain = labels(reader_of(path))
    first = reader_of(path, shuffle=True, seed=5, num_workers=2)
    again = reader_of(path, shuffle=True, seed=5, num_workers=4)
    order = labels(first)
    assert order != plain and sorted(order) == sorted(plain)
    assert order == labels(again)
    assert order != labels(reader_of(path, shuffle=True, seed=6))
    second_epoch = labels(first)
    assert second_epoch != order and second_epoch == labels(again)


def test_offsets_and_ranges(tmp_path):
    write_raw(tmp_path / "x", [0, 1], [[0, 0]] * 2, [[2, 4], [0, 0]])
    keys = [row[2] for row in read_all(reader_of(tmp_path / "x", slot_size_array=[3, 5], apply_offsets=True))]
    assert keys == [[[[2], [7]]], [[[0], [3]]]]
    keys = [row[2] for row in read_all(reader_of(tmp_path / "x", slot_size_array=[3, 5]))]
    assert keys == [[[[2], [4]]], [[[0], [0]]]]
    reader = reader_of(tmp_path / "x", [("a", [1]), ("b", [1])], slot_size_array=[3, 4])
    reader.start()
    with pytest.raises(InvalidArgumentError, match='x", sample 0 at offset 0, slot 0 of "b": key 4 is not in \\[0, 3'):
        reader.next()


def test_keys_are_unsigned(tmp_path):
    write_raw(tmp_path / "x", [0], None, [[2**31, 2**32 - 2]])
    assert read_all(reader_of(tmp_path / "x", dense_dim=0))[0][2] == [[[2**31], [2**32 - 2]]]
    (tmp_path / "x").write_bytes((tmp_path / "x").read_bytes()[:-4] + b"\xff" * 4)
    reader = reader_of(tmp_path / "x", dense_dim=0)
    reader.start()
    with pytest.raises(InvalidArgumentError, match='slot 1 of "data": key 4294967295 is not in.*reserved'):
        reader.next()


def test_negative_integers_have_no_logarithm(tmp_path):
    write_raw(tmp_path / "x", [0, 0], [[0, 0], [5, -1]], [[0, 0]] * 2)
    reader = reader_of(tmp_path / "x")
    reader.start()
    with pytest.raises(InvalidArgumentError, match="sample 1 at offset 20: dense value 1 is -1.*float_label_dense"):
        reader.next()


@pytest.mark.parametrize(
    ("size", "num_samples", "message"),
    [
        (40, 3, r"has 40 bytes; expected num_samples 3 times 20 bytes a sample \(4 \* \(1 labels \+ 2 dense \+ 2 keys"),
        (40, 1, "expected num_samples 1"),
        (41, 0, "has 41 bytes; expected a positive multiple of 20"),
        (41, 2, "expected num_samples 2"),
        (0, 0, "has 0 bytes; expected a positive"),
    ],
)
def test_sizes_that_do_not_fit(tmp_path, size, num_samples, message):
    (tmp_path / "x").write_bytes(bytes(size))
    with pytest.raises(FileError, match=message):
        reader_of(tmp_path / "x", num_samples=num_samples).start()


@pytest.mark.parametrize(
    ("fields", "sparse", "message"),
    [
        ({"i64_keys": True}, SPARSE, "Raw requires 32-bit keys"),
        ({"num_samples": -1}, SPARSE, "num_samples must not be negative, got -1"),
        ({}, [("d", [1, 2])], 'sparse input "d": Raw files have one key a slot, nnz_per_slot is 2'),
        ({"slot_size_array": [1]}, SPARSE, "slot_size_array has 1 entries; the sparse inputs have 2 slots"),
        ({"slot_size_array": [1, -1]}, SPARSE, r"slot_size_array\[1\] must not be negative, got -1"),
        ({"slot_size_array": [2**31, 2**31], "apply_offsets": True}, SPARSE, "add up to more than the key type"),
    ],
)
def test_rejected_specs(fields, sparse, message):
    with pytest.raises(InvalidArgumentError, match=message):
        reader_of("x", sparse, **fields)
