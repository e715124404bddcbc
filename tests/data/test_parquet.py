# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from harness.readers import batches, make_reader, read_all, samples, write_parquet
from hugectr.arrow import open_stream
from hugectr.errors import FileError, InvalidArgumentError

GROUPS = {"labels": [0], "conts": [1], "cats": [2, 3]}
SPARSE = [("data", [1, 1])]


def table(rows=5, **columns):
    base = {
        "label": pa.array(np.arange(rows, dtype=np.float32)),
        "I": pa.array(np.arange(rows, dtype=np.float32) / 2),
        "C0": pa.array(np.arange(rows)),
        "C1": pa.array(np.arange(rows) % 3),
    }
    return pa.table({**base, **columns})


def reader_of(source, sparse=SPARSE, **fields):
    return make_reader("parquet", source, sparse, **{"label_dim": 1, "dense_dim": 1, "i64_keys": True, **fields})


def read(tmp_path, tables, sparse=SPARSE, groups=GROUPS, write_options=None, **fields):
    return read_all(reader_of(write_parquet(tmp_path / "d", tables, groups, **(write_options or {})), sparse, **fields))


def test_columns_become_samples(tmp_path):
    rows = read(tmp_path, [table()], sparse=[("a", [1]), ("b", [1])])
    assert rows == [([float(i)], [i / 2], [[[i]], [[i % 3]]]) for i in range(5)]


def test_truth_values_are_numbers(tmp_path):
    truth = pa.array([True, False, True, True, False])
    rows = read(tmp_path, [table(label=truth, I=truth)])
    assert [row[:2] for row in rows] == [([float(value)], [float(value)]) for value in truth.to_pylist()]


def test_batches_cross_row_groups_and_files(tmp_path):
    source = write_parquet(tmp_path / "d", [table(7), table(5)], GROUPS, row_group_size=3)
    reader = reader_of(source, batch_size=5)
    assert [b["size"] for b in batches(reader)] == [5, 5, 2]
    assert [row[0][0] for row in read_all(reader)] == [*range(7), *range(5)]
    repeating = reader_of(source, batch_size=5, repeat=True)
    assert [row[0][0] for b in batches(repeating, 6) for row in samples(b)] == ([*range(7), *range(5)] * 3)[:30]


def test_long_files(tmp_path):
    rows = 3001  # several blocks and record batches
    rng = np.random.default_rng(1)
    lengths = rng.integers(0, 4, rows)
    lists = [rng.integers(0, 100, n).tolist() for n in lengths]
    data = table(rows, C1=pa.array(lists, pa.list_(pa.int64())))
    got = read(tmp_path, [data], [("data", [1, 3])], write_options={"row_group_size": 700}, batch_size=997)
    assert [row[2][0] for row in got] == [[[i], keys] for i, keys in enumerate(lists)]


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"])
@pytest.mark.parametrize("i64", [False, True])
def test_key_types(tmp_path, dtype, i64):
    info = np.iinfo(dtype)
    top = min(int(info.max), 2**63 - 2 if i64 else 2**32 - 2)
    low = int(info.min) if i64 else 0
    keys = [low, top, 1, 0, 7]
    lists = pa.array([[k] * n for n, k in enumerate(keys)], pa.list_(pa.from_numpy_dtype(dtype)))
    rows = read(tmp_path, [table(C0=pa.array(keys, dtype), C1=lists)], [("data", [1, 4])], i64_keys=i64)
    assert [row[2][0] for row in rows] == [[[k], [k] * n] for n, k in enumerate(keys)]


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "uint8", "int64"])
def test_label_and_dense_types(tmp_path, dtype):
    rows = read(tmp_path, [table(label=pa.array([1, 0, 1, 0, 1], dtype), I=pa.array([5, 4, 3, 2, 1], dtype))])
    assert [(row[0], row[1]) for row in rows] == [([float(1 - i % 2)], [float(5 - i)]) for i in range(5)]


def test_vector_columns_and_large_lists(tmp_path):
    vectors = [[float(i), i + 0.5] for i in range(5)]
    keys = [[i] * (i % 3) for i in range(5)]
    groups = {"labels": [0], "conts": [1, 4, 5], "cats": [2, 3]}
    extra = {"V": pa.array(vectors, pa.list_(pa.float32(), 2)), "W": pa.array(vectors, pa.large_list(pa.float64()))}
    data = table(C1=pa.array(keys, pa.large_list(pa.int32())), **extra)
    rows = read(tmp_path, [data], [("data", [1, 2])], groups, dense_dim=5)
    assert [row[1] for row in rows] == [[i / 2, *vectors[i], *vectors[i]] for i in range(5)]
    assert [row[2][0][1] for row in rows] == keys


def test_columns_are_taken_by_ascending_index(tmp_path, capfd):
    rows = read(tmp_path, [table()], groups={"labels": [0], "conts": [1], "cats": [3, 2]})
    assert rows[4][2] == [[[4], [1]]]
    assert "cats are not listed by ascending index" in capfd.readouterr().out


def test_metadata_beside_the_list(tmp_path):
    source = write_parquet(tmp_path / "d", [table()], GROUPS)
    (tmp_path / "d" / "_metadata.json").rename(tmp_path / "_metadata.json")
    source = source.rename(tmp_path / "list.txt")
    assert len(read_all(reader_of(source))) == 5


def test_offsets(tmp_path):
    rows = read(tmp_path, [table()], slot_size_array=[5, 3], apply_offsets=True)
    assert [row[2][0] for row in rows] == [[[i], [5 + i % 3]] for i in range(5)]
    # A slot of size 0 neither shifts later slots nor has a limit of its own.
    rows = read(tmp_path, [table()], slot_size_array=[0, 3], apply_offsets=True)
    assert [row[2][0] for row in rows] == [[[i], [i % 3]] for i in range(5)]


def edit(source, change):
    path = source.parent / "_metadata.json"
    metadata = json.loads(path.read_text())
    change(metadata)
    path.write_text(json.dumps(metadata))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m.pop("file_stats"), '_metadata.json": no list "file_stats"'),
        (lambda m: m.pop("cats"), 'no list "cats"'),
        (lambda m: m.pop("conts"), 'no list "conts"'),
        (lambda m: m.update(labels={}), 'no list "labels"'),
        (lambda m: m["cats"][1].pop("index"), r'cats\[1\]: no "index"'),
        (lambda m: m["cats"][0].update(index=-1), r'cats\[0\]: "index" must be a count, found -1'),
        (lambda m: m["cats"][0].update(index="2"), '"index" must be a count, found "2"'),
        (lambda m: m["cats"][0].update(index=2.5), '"index" must be a count, found 2.5'),
        (lambda m: m["cats"][0].update(index=2**64 - 1), "must be a count"),
        (lambda m: m["cats"][0].update(index=3), "column index 3 is used twice"),
        (lambda m: m["conts"][0].update(index=0), "column index 0 is used twice"),
        (lambda m: m["cats"].append({"index": 1000}), "lists 3 cats; the sparse inputs have 2 slots"),
        (lambda m: m.update(labels=[]), "lists no labels"),
        (lambda m: m["file_stats"][0].update(file_name="other.parquet"), 'no entry for "part_0.parquet"'),
        (lambda m: m["file_stats"][0].pop("num_rows"), r'file_stats\[0\]: no "num_rows"'),
        (lambda m: m["file_stats"][0].pop("file_name"), r'file_stats\[0\]: no "file_name"'),
    ],
)
def test_rejected_metadata(tmp_path, change, message):
    source = write_parquet(tmp_path / "d", [table()], GROUPS)
    edit(source, change)
    with pytest.raises((FileError, InvalidArgumentError), match=message):
        reader_of(source).start()


def test_unreadable_metadata(tmp_path):
    source = write_parquet(tmp_path / "d", [table()], GROUPS)
    (tmp_path / "d" / "_metadata.json").write_text('{"labels": [],\n "conts": [],\n "cats": }')
    with pytest.raises(FileError, match='_metadata.json": not valid JSON at line 3, column 10'):
        reader_of(source).start()
    (tmp_path / "d" / "_metadata.json").unlink()
    with pytest.raises(FileError, match="no _metadata.json in"):
        reader_of(source).start()


@pytest.mark.parametrize(
    ("columns", "fields", "message"),
    [
        ({"label": pa.array([0, 1, None, 0, 1], "float32")}, {}, 'column "label" .*, row 2: null value'),
        ({"I": pa.array([0, 1, 0, None, 1], "float64")}, {}, 'column "I" .*, row 3: null value'),
        ({"C1": pa.array([0, None, 0, 0, 1], "int64")}, {}, 'column "C1" .*, row 1: null value'),
        ({"C1": pa.array([[0], None, [0], [], [1]])}, {}, 'column "C1" .*, row 1: null value'),
        ({"C1": pa.array([[0], [1], [], [0], [None]])}, {}, 'column "C1" .*, row 4: null value'),
        ({"I": pa.array([[0], [1], [1], [None], [0]], pa.list_(pa.float32(), 1))}, {}, 'column "I" .*, row 3: null'),
        ({"C1": pa.array([0.5] * 5)}, {}, 'column "C1" .* keys must be integers, found 64-bit floats'),
        ({"C1": pa.array(["a"] * 5)}, {}, 'column "C1" .*: expected numbers or lists of numbers, found text'),
        ({"C1": pa.array(["a"] * 5).dictionary_encode()}, {}, "dictionary-encoded"),
        ({"C1": pa.array([[[0]]] * 5)}, {}, 'column "C1" .*: expected .* found lists of lists of 64-bit integers'),
        ({"C1": pa.array([["a"]] * 5)}, {}, "found lists of text"),
        ({"label": pa.array([0] * 5, pa.timestamp("us"))}, {}, 'column "label" .*: expected .* found timestamps'),
        ({"C1": pa.array([[0], [0], [1, 2], [0], [0]])}, {}, 'row 2, slot 1 of "data": 2 keys found, at most 1'),
        ({"C1": pa.array([[0], [], [0], [1, 2], [0]])}, {"sparse": [("data", [1, 1], True, 2)]},
         'row 3, "data": 3 keys found in the slots up to 1, at most 2 declared for all of a sample'),
        ({"I": pa.array([[1, 2], [1, 2], [1, 2], [1], [1, 2]], pa.list_(pa.float32()))}, {"dense_dim": 2},
         'column "I" .*, row 3: 1 values, 2 in the rows before'),
        ({"I": pa.array([[1, 2]] * 5, pa.list_(pa.float32()))}, {}, "the 1 dense columns hold 2 values a row, dense"),
        ({}, {"label_dim": 2}, "the 1 label columns hold 1 values a row, label_dim is 2"),
        ({}, {"slot_size_array": [4, 3]}, r'row 4, slot 0 of "data": key 4 is not in \[0, 3\]'),
        ({"C0": pa.array([0, 1, -1, 0, 0])}, {"slot_size_array": [4, 3]}, "row 2, slot 0 .*key -1 is not in"),
        ({"C0": pa.array([0, 1, -1, 0, 0])}, {"i64_keys": False}, "row 2, slot 0 .*key -1 is not in"),
        ({"C0": pa.array([0, 1, 2**32, 0, 0])}, {"i64_keys": False}, "row 2, slot 0 .*key 4294967296 is not in"),
        ({"C0": pa.array([0, 1, 2**32 - 1, 0, 0])}, {"i64_keys": False}, "key 4294967295 is not in.*reserved"),
        ({"C0": pa.array([0, 1, 2**63 - 1, 0, 0])}, {}, "key 9223372036854775807 is not in.*reserved"),
        ({"C0": pa.array([0, 1, 2**63, 0, 0], "uint64")}, {}, "row 2, slot 0 .*key 9223372036854775808 is not in"),
    ],
)  # fmt: skip
def test_rejected_content(tmp_path, columns, fields, message):
    with pytest.raises(InvalidArgumentError, match=message) as error:
        read(tmp_path, [table(**columns)], **{"sparse": SPARSE, **fields})
    assert "part_0.parquet" in str(error.value)


def test_row_numbers_count_from_the_start_of_the_file(tmp_path):
    keys = np.zeros(1000, np.int64)
    keys[789] = -3
    with pytest.raises(InvalidArgumentError, match="row 789, slot 0"):
        read(tmp_path, [table(1000, C0=pa.array(keys))], write_options={"row_group_size": 100}, i64_keys=False)


@pytest.mark.parametrize(("rows", "message"), [(4, "at least 5 rows; .* 4"), (6, "only 5 rows; .* 6")])
def test_row_count_must_match(tmp_path, rows, message):
    source = write_parquet(tmp_path / "d", [table()], GROUPS)
    edit(source, lambda m: m["file_stats"][0].update(num_rows=rows))
    with pytest.raises(FileError, match=message):
        read_all(reader_of(source))


def test_wrong_extension(tmp_path):
    source = write_parquet(tmp_path / "d", [table(), table()], GROUPS)
    (tmp_path / "d" / "part_1.parquet").rename(tmp_path / "d" / "part_1.data")
    source.write_text(source.read_text().replace("part_1.parquet", "part_1.data"))
    with pytest.raises(InvalidArgumentError, match='part_1.data" does not end in .parquet'):
        reader_of(source).start()


def test_files_that_are_not_parquet(tmp_path):
    source = write_parquet(tmp_path / "d", [table()], GROUPS)
    (tmp_path / "d" / "part_0.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(FileError, match='cannot read ".*part_0.parquet" as Parquet'):
        read_all(reader_of(source))


def test_damaged_parquet_pages(tmp_path):
    source = write_parquet(tmp_path / "d", [table(5000)], GROUPS, compression="snappy")
    path = tmp_path / "d" / "part_0.parquet"
    content = bytearray(path.read_bytes())
    content[4:2000] = b"\xa5" * 1996  # pages; the footer stays intact
    path.write_bytes(bytes(content))
    with pytest.raises(FileError, match='cannot read ".*part_0.parquet"'):
        read_all(reader_of(source))


def test_column_index_beyond_the_schema(tmp_path):
    source = write_parquet(tmp_path / "d", [table()], {**GROUPS, "cats": [2, 9]})
    with pytest.raises(InvalidArgumentError, match="column index 9 of _metadata.json is out of range.* 4 columns"):
        read_all(reader_of(source))


def test_duplicate_column_names(tmp_path):
    data = table().rename_columns(["label", "I", "C", "C"])
    source = write_parquet(tmp_path / "d", [data], {**GROUPS, "cats": [2]})
    with pytest.raises(InvalidArgumentError, match='more than one column is called "C"'):
        read_all(reader_of(source, [("data", [1])]))
    source = write_parquet(tmp_path / "e", [data], {**GROUPS, "cats": []})
    assert len(read_all(reader_of(source, []))) == 5  # nobody reads them


def test_a_file_that_goes_while_its_set_is_read(tmp_path):
    source = write_parquet(tmp_path / "d", [table(), table()], GROUPS)

    def remove_the_other(file, columns):
        (tmp_path / "d" / "part_1.parquet").unlink()
        return open_stream(file, columns)

    reader = reader_of(source, open_arrow=remove_the_other)
    with pytest.raises(FileError, match=r"part_1.parquet.* does not exist; if its data set was replaced meanwhile"):
        read_all(reader)


def test_an_opener_may_return_anything_with_a_stream(tmp_path):
    source = write_parquet(tmp_path / "d", [table()], GROUPS)
    reader = reader_of(
        source, open_arrow=lambda file, columns: pq.read_table(os.fspath(file)).select([c for _, c in columns])
    )
    assert len(read_all(reader)) == 5
    with pytest.raises(FileError, match="the Arrow stream has 1 columns, 4 were asked for"):
        read_all(reader_of(source, open_arrow=lambda file, columns: pq.read_table(os.fspath(file)).select([0])))
    with pytest.raises(FileError, match="has no attribute '__arrow_c_stream__'"):
        read_all(reader_of(source, open_arrow=lambda file, columns: 3))


def test_pulling_needs_no_interpreter(tmp_path):
    """Once a file is open, workers go on while another thread keeps the interpreter to itself."""
    source = write_parquet(tmp_path / "d", [table(40000)], GROUPS, row_group_size=100)
    reader = reader_of(source, batch_size=1000, prefetch=1)
    reader.start()
    assert reader.next()["size"] == 1000
    assert reader.count_holding_gil() == 39000  # a deadlock if pulling needed it
