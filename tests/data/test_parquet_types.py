# SPDX-License-Identifier: Apache-2.0
"""Columns of Parquet files: found by name, and of every kind of number."""

from __future__ import annotations

import json
import os
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from harness.readers import batches, make_reader, read_all, write_parquet
from hugectr import _core
from hugectr.arrow import open_stream
from hugectr.errors import FileError, InvalidArgumentError

ARROW = int(pa.__version__.split(".")[0])
GROUPS = {"labels": [0], "conts": [1], "cats": [2, 3]}


def table(**columns):
    base = {"y": pa.array([0.0, 1.0, 1.0]), "x": pa.array([0.5, 1.5, 2.5]), "u": pa.array([1, 2, 3]), "v": [4, 5, 6]}
    return pa.table({**base, **columns})


def reader_of(source, nnz=1, **fields):
    options = {"label_dim": 1, "dense_dim": 1, "i64_keys": True, **fields}
    return make_reader("parquet", source, [("data", [nnz, nnz])], **options)


def read(tmp_path, tables, nnz=1, groups=GROUPS, **fields):
    return read_all(reader_of(write_parquet(tmp_path / "d", tables, groups), nnz, **fields))


def edit(source, change):
    path = source.parent / "_metadata.json"
    metadata = json.loads(path.read_text())
    change(metadata)
    path.write_text(json.dumps(metadata))


ROWS = [([y], [x], [[[u], [v]]]) for y, x, u, v in ((0.0, 0.5, 1, 4), (1.0, 1.5, 2, 5), (1.0, 2.5, 3, 6))]


@pytest.mark.parametrize("order", ["yxuv", "xyuv", "yxvu", "vuxy"])
def test_names_decide_in_every_file(tmp_path, order):
    later = table().select(list(order))
    assert read(tmp_path, [table(), later, table()]) == ROWS * 3


def test_files_may_have_other_columns_that_nobody_reads(tmp_path):
    first = table().add_column(0, "more", [["a", "b", "c"]])
    groups = {"labels": [1], "conts": [2], "cats": [3, 4]}
    assert read(tmp_path, [first, table(), first.append_column("z", first["y"])], groups=groups) == ROWS * 3


def test_the_order_of_slots_is_that_of_the_indices(tmp_path):
    source = write_parquet(tmp_path / "d", [table()], GROUPS)
    edit(source, lambda m: m.update(cats=[{"col_name": "v", "index": 2}, {"col_name": "u", "index": 3}]))
    assert [row[2][0] for row in read_all(reader_of(source))] == [[[4], [1]], [[5], [2]], [[6], [3]]]


@pytest.mark.parametrize("name", [None, ""])
def test_the_index_decides_where_there_is_no_name(tmp_path, name):
    source = write_parquet(tmp_path / "d", [table(), table().rename_columns(["y", "z", "v", "u"])], GROUPS)
    edit(source, lambda m: m["conts"][0].update(col_name=name))
    assert [row[2] for row in read_all(reader_of(source))][3:] == [[[[4], [1]]], [[[5], [2]]], [[[6], [3]]]]
    assert [row[1] for row in read_all(reader_of(source))] == [[0.5], [1.5], [2.5]] * 2
    source = write_parquet(tmp_path / "d", [table(), table().select(["y", "v", "u", "x"])], GROUPS)
    edit(source, lambda m: m["conts"][0].pop("col_name"))
    with pytest.raises(InvalidArgumentError, match='part_1.parquet": _metadata.json uses column "v" twice'):
        read_all(reader_of(source))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m["conts"][0].update(col_name=5), r'conts\[0\]: "col_name" must be a name, found 5'),
        (lambda m: m["cats"][1].update(col_name=["v"]), r'cats\[1\]: "col_name" must be a name, found \["v"\]'),
        (lambda m: m["file_stats"][0].update(file_name=5), r'file_stats\[0\]: "file_name" must be a name, found 5'),
        (lambda m: m["file_stats"][0].update(num_rows=3.0), r'file_stats\[0\]: "num_rows" must be a count, found 3.0'),
    ],
)
def test_members_of_a_wrong_type(tmp_path, change, message):
    source = write_parquet(tmp_path / "d", [table()], GROUPS)
    edit(source, change)
    with pytest.raises(FileError, match=f'_metadata.json", {message}'):
        reader_of(source).start()


def test_members_without_a_meaning_are_named_once(tmp_path, capfd):
    source = write_parquet(tmp_path / "d", [table()], GROUPS)
    edit(source, lambda m: m.update(version=3))
    edit(source, lambda m: m["cats"][1].update(cardinality=7))
    edit(source, lambda m: m["file_stats"][0].update(bytes=1))
    for _ in range(2):
        assert read_all(reader_of(source)) == ROWS
    (line,) = (line for line in capfd.readouterr().out.splitlines() if "without a meaning" in line)
    assert line.endswith('_metadata.json": members without a meaning have no effect: version, file_stats[0].bytes, '
                         "cats[1].cardinality")  # fmt: skip


def test_a_name_that_a_file_lacks(tmp_path):
    source = write_parquet(tmp_path / "d", [table(), table().rename_columns(["y", "x", "U", "v"])], GROUPS)
    message = 'part_1.parquet" has no column "u", which _metadata.json names; it has "y", "x", "U", "v"$'
    with pytest.raises(InvalidArgumentError, match=message):
        read_all(reader_of(source))
    with pytest.raises(InvalidArgumentError, match='"c99" and 3 more$'):
        pq.write_table(pa.table({f"c{i}": [1] for i in range(103)}), tmp_path / "wide.parquet")
        open_stream(_core.open_file(str(tmp_path / "wide.parquet")), [(-1, "x")])


def test_a_name_that_is_used_twice(tmp_path):
    source = write_parquet(tmp_path / "d", [table()], GROUPS)
    edit(source, lambda m: m["cats"][1].update(col_name="y"))
    with pytest.raises(OSError, match='_metadata.json": column "y" is used twice'):
        reader_of(source).start()


def test_names_are_no_paths(tmp_path):
    rows = table().rename_columns(["a.b", "*", "x[0]", "$"])
    assert read(tmp_path, [rows]) == ROWS


def test_folders_need_not_be_utf_8(tmp_path):
    write_parquet(tmp_path / "d", [table()], GROUPS)
    folder = os.path.join(os.fsencode(tmp_path), b"caf\xe9")
    os.rename(tmp_path / "d", folder)
    (tmp_path / "list.txt").write_bytes(b"1\n" + folder + b"/part_0.parquet\n")
    assert read_all(reader_of(tmp_path / "list.txt")) == ROWS
    with open(folder + b"/part_0.parquet", "wb") as file:
        file.write(b"PAR1 no")
    with pytest.raises(OSError, match=r'cannot read ".*caf\\xe9/part_0.parquet" as Parquet'):
        read_all(reader_of(tmp_path / "list.txt"))


DECIMALS = [pa.decimal128(9, 2), pa.decimal128(38, 10), pa.decimal256(76, 20)]
DECIMALS += [getattr(pa, name)(9, 2) for name in ("decimal32", "decimal64") if hasattr(pa, name)]
NUMBERS = {
    "float16": pa.array(np.array([-1.5, 0.25, 65504], "f2")),
    **{str(t): pa.array([Decimal("-1.25"), Decimal("0.5"), Decimal("1234567.75")], t) for t in DECIMALS},
    "decimal of units": pa.array([Decimal(-1), Decimal(0), Decimal(2**70)], pa.decimal128(38, 0)),
    "decimal of 256 bits": pa.array([Decimal(-(2**120)), Decimal(0), Decimal(2**100)], pa.decimal256(76, 0)),
    "boolean": pa.array([True, False, True]),
    "uint64": pa.array([0, 2**63, 2**64 - 1], pa.uint64()),
    "dictionary": pa.array([5, 6, 5]).dictionary_encode(),
}
SHAPES = {
    "plain": None,
    "list": lambda t: pa.list_(t),
    "large list": lambda t: pa.large_list(t),
    "fixed-size list": lambda t: pa.list_(t, 2),
}
if hasattr(pa, "list_view"):
    SHAPES.update({"list view": pa.list_view, "large list view": pa.large_list_view})


def shaped(numbers, shape):
    """Each number, or a list of it and its neighbour."""
    if SHAPES[shape] is None:
        return numbers
    values = numbers.to_pylist()
    kind = numbers.type.value_type if pa.types.is_dictionary(numbers.type) else numbers.type
    return pa.array([[v, values[i - 1]] for i, v in enumerate(values)], SHAPES[shape](kind))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("number", NUMBERS)
def test_labels_and_dense_are_numbers_of_any_kind(tmp_path, number, shape):
    column = shaped(NUMBERS[number], shape)
    width = 1 if shape == "plain" else 2
    rows = read(tmp_path, [table(y=column, x=column)] * 2, label_dim=width, dense_dim=width)
    want = np.array(column.to_pylist(), "f8").astype("f4").reshape(3, width).tolist()
    assert [row[0] for row in rows] == [row[1] for row in rows] == want * 2


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("number", NUMBERS)
def test_nulls_of_any_kind_are_errors(tmp_path, number, shape):
    column = shaped(NUMBERS[number], shape)
    for value in {None, (None if shape == "plain" else (column[0].as_py()[0], None))}:
        values = [*column.to_pylist()[:2], value if value is None else list(value)]
        data = table(x=pa.array(values, column.type if number != "dictionary" or shape != "plain" else pa.int64()))
        error, words = InvalidArgumentError, 'column "x" .*, row 2: null value'
        if value is None and shape == "fixed-size list" and ARROW < 26:  # which cannot read what it has written
            error, words = FileError, "Expected all lists to be of size=2"
        with pytest.raises(error, match=words):
            read(tmp_path, [data], dense_dim=1 if shape == "plain" else 2)


@pytest.mark.parametrize("shape", SHAPES)
def test_keys_may_be_decimals_without_a_fraction(tmp_path, shape):
    keys = pa.array([Decimal(7), Decimal(0), Decimal(2**63 - 2)], pa.decimal128(20, 0))
    column = shaped(keys, shape)
    rows = read(tmp_path, [table(u=column)], nnz=2)
    assert [row[2][0][0] for row in rows] == [v if isinstance(v, list) else [v] for v in column.to_pylist()]


KINDS = [pa.decimal128(20, 0), pa.decimal256(40, 0)]
KINDS += [getattr(pa, name)(9, 0) for name in ("decimal32", "decimal64") if hasattr(pa, name)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_keys_may_be_decimals_of_any_width(tmp_path, kind, shape):
    keys = [3, 0, 127]
    rows = read(tmp_path, [table(u=shaped(pa.array([Decimal(key) for key in keys], kind), shape))], nnz=2)
    assert [row[2][0][0][0] for row in rows] == keys


def test_decimals_as_negative_and_large_keys(tmp_path):
    keys = [-(2**63), -3, 2**63 - 2]
    for kind in (pa.decimal128(38, 0), pa.decimal256(76, 0)):
        rows = read(tmp_path, [table(u=pa.array([Decimal(key) for key in keys], kind))])
        assert [row[2][0][0] for row in rows] == [[key] for key in keys]


@pytest.mark.parametrize("key", [2**63, 2**63 - 1, -(2**63) - 1, 10**38 - 1, 1 - 10**38])
def test_keys_beyond_64_bits(tmp_path, key):
    for kind in (pa.decimal128(38, 0), pa.decimal256(76, 0)):
        data = table(u=pa.array([Decimal(1), Decimal(2), Decimal(key)], kind))
        with pytest.raises(InvalidArgumentError, match=f'row 2, slot 0 of "data": key {key} is not in'):
            read(tmp_path, [data])


@pytest.mark.parametrize(
    ("column", "found"),
    [
        (NUMBERS["float16"], "16-bit floats"),
        (pa.array([[1.0]] * 3), "lists of 64-bit floats"),
        *[(pa.array([Decimal(7)] * 3, kind), "decimals") for kind in DECIMALS],
    ],
)
def test_keys_are_whole_numbers(tmp_path, column, found):
    with pytest.raises(InvalidArgumentError, match=f'column "u" .*: keys must be integers, found {found}'):
        read(tmp_path, [table(u=column)])


def test_long_lists_of_truth_values(tmp_path):
    rng = np.random.default_rng(1)
    rows = 3001  # several blocks, row groups and bytes that begin within a list
    bits = rng.integers(0, 2, (rows, 3)).astype(bool)
    data = pa.table({"y": pa.array(bits[:, 0]), "x": pa.array(bits.tolist()), "u": bits[:, 1], "v": bits[:, 2]})
    source = write_parquet(tmp_path / "d", [data], GROUPS, row_group_size=701)
    got = list(batches(reader_of(source, dense_dim=3, batch_size=rows)))[0]
    np.testing.assert_array_equal(got["labels"], bits[:, :1])
    np.testing.assert_array_equal(got["dense"], bits)
    np.testing.assert_array_equal(got["sparse"][0][1].reshape(rows, 2), bits[:, 1:])
