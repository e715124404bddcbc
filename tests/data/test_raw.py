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


def reader_of(path, sparse=SPARSE, format="raw", **fields):
    return make_reader(format, path, sparse, **{"label_dim": 1, "dense_dim": 2, **fields})


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


@pytest.mark.parametrize("batch_size", [2, 3, 7, 10, 20])
@pytest.mark.parametrize("workers", [1, 2, 3, 9])
def test_repeating_has_no_seam(tmp_path, workers, batch_size):
    reader = reader_of(numbered(tmp_path / "x", 7), num_workers=workers, repeat=True, batch_size=batch_size)
    got = labels(reader, 25)
    assert sum(got, []) == [i % 7 for i in range(25 * batch_size)]
    assert {len(batch) for batch in got} == {batch_size}


@pytest.mark.parametrize("workers", [1, 2, 3, 9])
def test_shuffled_passes_follow_each_other_without_a_seam(tmp_path, workers):
    """Each pass is that of an epoch with the same seed: whole chunks in its own order, then what is left over."""
    path = numbered(tmp_path / "x", 41)
    epochs = reader_of(path, shuffle=True, seed=5, batch_size=4)
    passes = [sum(labels(epochs), []) for _ in range(6)]
    assert all(sorted(p) == list(range(41)) and p[-1] == 40 for p in passes)
    assert len({tuple(p) for p in passes}) == 6
    reader = reader_of(path, shuffle=True, seed=5, batch_size=4, repeat=True, num_workers=workers)
    got = labels(reader, 61)
    assert sum(got, []) == sum(passes, [])[: 61 * 4] and {len(batch) for batch in got} == {4}


def test_shuffling_less_than_a_batch(tmp_path):
    reader = reader_of(numbered(tmp_path / "x", 3), shuffle=True, seed=5, batch_size=4, repeat=True)
    assert labels(reader, 2) == [[0, 1, 2, 0], [1, 2, 0, 1]]
    epochs = reader_of(numbered(tmp_path / "x", 3), shuffle=True, seed=5, batch_size=4)
    assert labels(epochs) == [[0, 1, 2]]


@pytest.mark.parametrize("i64", [False, True])
def test_async_keys_have_the_width_of_the_solver(tmp_path, i64):
    keys = [[7, 2**40 if i64 else 2**32 - 2], [3, 0]]
    rows = [np.array([1, 3, 0], "<i4").tobytes() + np.array(row, "<i8" if i64 else "<u4").tobytes() for row in keys]
    (tmp_path / "x").write_bytes(b"".join(rows))
    reader = reader_of(tmp_path / "x", format="raw_async", repeat=True, i64_keys=i64)
    [batch] = batches(reader, 1)
    assert [row[2] for row in samples(batch)] == [[[[a], [b]]] for a, b in keys]
    np.testing.assert_allclose(batch["dense"], [[math.log(4), 0]] * 2, rtol=1e-6)
    (tmp_path / "x").write_bytes(b"".join(rows) + b"\0" * 4)
    with pytest.raises(FileError, match="a positive multiple of " + ("28.* 8 [*] 2" if i64 else "20.* 4 [*] 2")):
        reader_of(tmp_path / "x", format="raw_async", repeat=True, i64_keys=i64).start()


def test_wide_keys_are_checked(tmp_path):
    (tmp_path / "x").write_bytes(np.array([1, 3, 0], "<i4").tobytes() + np.array([7, -1], "<i8").tobytes())
    for sizes, message in (([8, 5], r"slot 1 .* key -1 is not in \[0, 4\]"), ([7, 5], r"key 7 is not in \[0, 6\]")):
        reader = reader_of(tmp_path / "x", format="raw_async", repeat=True, i64_keys=True, slot_size_array=sizes)
        reader.start()
        with pytest.raises(InvalidArgumentError, match=message):
            reader.next()


@pytest.mark.parametrize(
    ("labels", "dense", "message"),
    [
        ([1, 0], [[1, 2], [3, 0.5]], r"dense, row 1, column 1: 0.5 is no integer in \[0, 2147483647\]"),
        ([1, 0], [[1, 2**40], [3, 4]], "dense, row 0, column 1: 1099511627776 is no integer"),
        ([1, 0], [[1, 2], [3, float("nan")]], "dense, row 1, column 1: nan is no integer"),
        ([1, 0], [[1, 2], [3, float("inf")]], "dense, row 1, column 1: inf is no integer"),
        ([1, 0], [[1, 2], [-5, 4]], "dense, row 1, column 0: -5 is no integer"),
        ([1, 0.5], [[1, 2], [3, 4]], r"labels, row 1, column 0: 0.5 is no integer in \[-2147483648, 2147483647\]"),
        (["a", "b"], [[1, 2], [3, 4]], "labels must be numbers, got <U1"),
    ],
)
def test_integers_are_written_exactly_or_not_at_all(tmp_path, labels, dense, message):
    with pytest.raises(InvalidArgumentError, match=message):
        write_raw(tmp_path / "x", labels, dense, [[0, 0]] * 2)
    assert not (tmp_path / "x").exists()


def test_integers_of_any_type_are_written(tmp_path):
    write_raw(tmp_path / "x", np.array([True, False]), [[1.0, 2.0], [2**31 - 1, 0.0]], [[0, 0]] * 2)
    assert np.fromfile(tmp_path / "x", "<i4").reshape(2, 5)[:, :3].tolist() == [[1, 1, 2], [0, 2**31 - 1, 0]]


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
    np.array([[0, 0, 0, 0, 0], [0, 5, -1, 0, 0]], "<i4").tofile(tmp_path / "x")
    reader = reader_of(tmp_path / "x")
    reader.start()
    with pytest.raises(InvalidArgumentError, match="sample 1 at offset 20: dense value 1 is -1.*float_label_dense"):
        reader.next()


def write_typed(path, values, kind):
    """Labels, two dense values and two keys a row, the first three of type `kind`."""
    rows = [np.array(row, kind).tobytes() + bytes(8) for row in values]
    path.write_bytes(b"".join(rows))
    return path


BLANK = [[0, 0, 0]] * 5


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([*BLANK, [1, 3, 2]], "sample 5 at offset 100, label 0 is 1.4013e-45, the integer 1 read as a float"),
        ([*BLANK, [1, 2**30, 2**30]], "label 0 is 1.4013e-45"),
        ([*BLANK, [0, 0, 7]], "sample 5 at offset 100, dense value 1 is 9.80909e-45, the integer 7 read as a float"),
        ([*BLANK, [-1, 0, 0]], "sample 5 .*, label 0: nan is not a finite 32-bit float; is the file of integers"),
    ],
)
def test_integers_read_as_floats(tmp_path, values, message):
    path = write_typed(tmp_path / "x", values, "<i4")
    for batch_size in (1, 6):
        reader = reader_of(path, float_label_dense=True, batch_size=batch_size)
        with pytest.raises(InvalidArgumentError, match=f"{message}.*float_label_dense=False"):
            read_all(reader)
    integers = [[row[0][0], *row[1]] for row in read_all(reader_of(path))] if -1 not in values[-1] else None
    assert integers is None or np.allclose(integers, [[y, *np.log1p(x)] for y, *x in values])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([*BLANK, [1, 0.5, 2]], "sample 5 at offset 100, label 0 is 1065353216, the float 1 read as an integer"),
        ([*BLANK, [-1, 0.5, 2]], "sample 5 at offset 100, label 0 is -1082130432, the float -1 read as an integer"),
        ([*BLANK, [0.37, 0, 0]], "the float 0.37 read as an integer"),
        ([*BLANK, [0, 0.5, -2]], "sample 5 at offset 100: dense value 1 is -1073741824"),
    ],
)
def test_floats_read_as_integers(tmp_path, values, message):
    path = write_typed(tmp_path / "x", values, "<f4")
    for format, repeat, batch_size in (("raw", False, 1), ("raw", False, 6), ("raw_async", True, 6)):
        reader = reader_of(path, format=format, repeat=repeat, batch_size=batch_size)
        with pytest.raises(InvalidArgumentError, match=f"{message}.*float_label_dense=True"):
            list(batches(reader, 6))
    assert len(read_all(reader_of(path, float_label_dense=True))) == 6


@pytest.mark.parametrize(
    ("kind", "row", "warned"),
    [
        ("<f4", [0, 0.5, 1], True),
        ("<f4", [0, 0.01, 300], True),
        ("<f4", [0, 0, 0], False),
        ("<i4", [0, 1065353216, 3], False),
        ("<i4", [0, 1700000000, 0], False),
        ("<i4", [1, 1065353216, 1200000000], False),
    ],
)
def test_floats_read_as_integers_without_a_positive_label_are_warned_about(kind, row, warned, tmp_path, capfd):
    """No proof: times of day in 2008 look the same."""
    path = write_typed(tmp_path / "x", [row] * 40, kind)
    for batch_size in (20, 40):
        read_all(reader_of(path, batch_size=batch_size))
    lines = [line for line in capfd.readouterr().out.splitlines() if "WARNING" in line and "float_label_dense" in line]
    assert len(lines) == warned
    assert all("sample 0 at offset 0, dense value 0 is about 1.0" in line and "=True" in line for line in lines)
    assert len(read_all(reader_of(path, float_label_dense=kind == "<f4"))) == 40


@pytest.mark.parametrize(
    ("kind", "row"),
    [
        ("<i4", [1, 1065353216, 1200000000]),  # counts and points of time
        ("<i4", [0, 1065353216, 1200000000]),
        ("<i4", [-1, 2**31 - 1, 0]),
        ("<i4", [2**31 - 1, 0, 0]),
        ("<i4", [-(2**31), 0, 0]),
        ("<f4", [1, 1e-45, 1e-40]),
        ("<f4", [0, 1e-45, 1]),
        ("<f4", [1.2e-38, 0, 0]),
        ("<f4", [0, 0, 0]),
    ],
)
def test_unusual_values_that_are_meant(tmp_path, kind, row):
    path = write_typed(tmp_path / "x", [[0, 0, 0], row], kind)
    [_, (label, dense, _)] = read_all(reader_of(path, float_label_dense=kind == "<f4"))
    want = np.array(row, kind).astype("f8")
    np.testing.assert_allclose([*label, *dense], [want[0], *(want[1:] if kind == "<f4" else np.log1p(want[1:]))], 1e-6)


@pytest.mark.parametrize(
    ("size", "num_samples", "message"),
    [
        (40, 3, r"has 40 bytes; expected num_samples 3 times 20 bytes a sample \(4 \* \(1 labels \+ 2 dense\) \+ 4"),
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
        ({"format": "raw_async", "repeat": False}, SPARSE, "RawAsync reads in repeat mode only"),
        ({"format": "raw_async", "repeat": True}, [("a", [1]), ("b", [1])], "exactly one DataReaderSparseParam, got 2"),
        ({"format": "raw_async", "repeat": True, "float_label_dense": True}, SPARSE, "RawAsync files hold integers"),
        ({"num_samples": -1}, SPARSE, "num_samples must not be negative, got -1"),
        ({"slot_size_array": [1]}, SPARSE, "slot_size_array has 1 entries; the sparse inputs have 2 slots"),
        ({"slot_size_array": [1, -1]}, SPARSE, r"slot_size_array\[1\] must not be negative, got -1"),
        ({"slot_size_array": [2**31, 2**31], "apply_offsets": True}, SPARSE, "add up to more than the key type"),
    ],
)
def test_rejected_specs(fields, sparse, message):
    with pytest.raises(InvalidArgumentError, match=message):
        reader_of("x", sparse, **fields)
