# SPDX-License-Identifier: Apache-2.0
"""A NaN or an infinity among labels and dense values is an error with its place, in every format."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from harness.readers import batches, make_reader, read_all, write_files, write_parquet
from hugectr.errors import InvalidArgumentError
from hugectr.tools import write_norm, write_raw

ROWS, BATCH = 1000, 64
NOT_FINITE = [np.nan, -np.nan, np.inf, -np.inf]


def values(row, column, value):
    """One label and two dense columns; `column` counts over them."""
    data = np.random.default_rng(1).normal(size=(ROWS, 3)).astype("f4")
    data[row, column] = value
    return data


def refuses(reader, *places):
    with pytest.raises(InvalidArgumentError) as error:
        for _ in batches(reader):
            pass
    for place in places:
        assert place in str(error.value)


def shown(value):
    return "nan" if np.isnan(value) else str(value)


NAMES = ["label 0", "dense value 0", "dense value 1"]


@pytest.mark.parametrize("value", NOT_FINITE)
@pytest.mark.parametrize("column", range(3))
@pytest.mark.parametrize("check_sum", [False, True])
def test_norm(tmp_path, value, column, check_sum):
    data = values(701, column, value)
    keys = [[1] * (i % 3) for i in range(ROWS)]
    good, bad = tmp_path / "good", tmp_path / "bad"
    write_norm(good, values(0, 0, 1)[:99, :1], values(0, 0, 1)[:99, 1:], [keys[:99]], check_sum=check_sum)
    write_norm(bad, data[:, :1], data[:, 1:], [keys], check_sum=check_sum)
    source = write_files(tmp_path, {"0.data": good.read_bytes(), "1.data": bad.read_bytes()})
    reader = make_reader("norm", source, [("d", [2])], label_dim=1, dense_dim=2, check_sum=check_sum, batch_size=BATCH)
    around = 5 if check_sum else 0
    offset = 64 + around + sum(16 + around + 4 * (i % 3) for i in range(701))
    refuses(reader, f'1.data", sample 701 at offset {offset}, {NAMES[column]}: ', f"{shown(value)} is not a finite")


def test_norm_samples_that_are_skipped_do_not_count(tmp_path):
    data = values(3, 1, np.nan)[:5]
    write_norm(tmp_path / "x", data[:, :1], data[:, 1:], [[[1]] * 5])
    content = bytearray((tmp_path / "x").read_bytes())
    content[69 + 4 * 25 - 1] ^= 1  # the check byte of sample 3
    reader = make_reader(
        "norm", write_files(tmp_path, {"x.data": content}), [("d", [1])], label_dim=1, dense_dim=2, check_sum=True
    )
    assert [row[0] for row in read_all(reader)] == data[[0, 1, 2, 4], :1].tolist()
    assert reader.skipped == 1
    content[69 + 25 - 1] ^= 1  # and that of sample 0, but not of sample 3
    content[69 + 4 * 25 - 1] ^= 1
    refuses(
        make_reader(
            "norm", write_files(tmp_path, {"y.data": content}), [("d", [1])], label_dim=1, dense_dim=2, check_sum=True
        ),
        "sample 3 at offset 144, dense value 0",
    )


@pytest.mark.parametrize("value", NOT_FINITE)
@pytest.mark.parametrize("column", range(3))
def test_raw(tmp_path, value, column):
    data = values(701, column, value)
    write_raw(tmp_path / "x", data[:, :1], data[:, 1:], np.zeros((ROWS, 1), int), float_label_dense=True)
    for shuffle in (False, True):
        reader = make_reader(
            "raw", tmp_path / "x", [("d", [1])], label_dim=1, dense_dim=2, float_label_dense=True, batch_size=BATCH,
            shuffle=shuffle, num_workers=3,
        )  # fmt: skip
        refuses(reader, f'x", sample 701 at offset {701 * 16}, {NAMES[column]}: ', f"{shown(value)} is not a finite")


@pytest.mark.parametrize("value", NOT_FINITE)
@pytest.mark.parametrize("column", range(3))
@pytest.mark.parametrize("kind", ["float16", "float32", "float64", "list", "fixed"])
def test_parquet(tmp_path, value, column, kind):
    data = values(701, column, value)
    columns = {name: pa.array(c) for name, c in zip("yab", data.T)}
    name = "yab"[column]
    if kind.startswith("float"):
        columns[name] = pa.array(data[:, column].astype(kind))
    else:
        lists = pa.list_(pa.float32(), *([1] if kind == "fixed" else []))
        columns[name] = pa.array([[v] for v in data[:, column]], lists)
    table = pa.table({**columns, "k": np.zeros(ROWS, int)})
    source = write_parquet(
        tmp_path / "d", [table[:99], table], {"labels": [0], "conts": [1, 2], "cats": [3]}, row_group_size=300
    )
    reader = make_reader("parquet", source, [("d", [1])], label_dim=1, dense_dim=2, batch_size=BATCH)
    refuses(reader, f'part_1.parquet", column "{name}"', f", row 701: {shown(value)} is not a finite")


def test_parquet_value_of_a_vector(tmp_path):
    vectors = [[1.0, 2.0, 3.0]] * 7 + [[1.0, 2.0, np.inf]] + [[1.0, 2.0, 3.0]]
    table = pa.table({"y": np.ones(9), "a": np.ones(9), "v": vectors, "k": np.zeros(9, int)})
    source = write_parquet(tmp_path / "d", [table], {"labels": [0], "conts": [1, 2], "cats": [3]})
    reader = make_reader("parquet", source, [("d", [1])], label_dim=1, dense_dim=4)
    refuses(reader, 'column "v" (index 2), row 7: inf is not a finite')


def test_a_number_beyond_32_bit_floats(tmp_path):
    table = pa.table({"y": np.ones(9), "a": [1.0] * 8 + [-1e39], "k": np.zeros(9, int)})
    source = write_parquet(tmp_path / "d", [table], {"labels": [0], "conts": [1], "cats": [2]})
    refuses(
        make_reader("parquet", source, [("d", [1])], label_dim=1, dense_dim=1),
        'column "a" (index 1), row 8: -1e+39 is not a finite 32-bit float',
    )


def test_the_largest_and_the_smallest_are_finite(tmp_path):
    edges = np.array([3.4028235e38, -3.4028235e38, 1e-45, -0.0], "f4")
    write_norm(tmp_path / "x", edges, edges, [[[1]] * 4], check_sum=False)
    source = write_files(tmp_path, {"x.data": (tmp_path / "x").read_bytes()})
    rows = read_all(make_reader("norm", source, [("d", [1])], label_dim=1, dense_dim=1))
    assert [row[0] for row in rows] == [row[1] for row in rows] == edges[:, None].tolist()
