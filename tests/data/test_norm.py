# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import struct
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pytest
from harness.readers import batches, make_reader, read_all, samples, write_files
from hugectr.errors import FileError, InvalidArgumentError
from hugectr.tools import write_file_list, write_norm
from hypothesis import HealthCheck, given, settings

GOLDEN = Path(__file__).parents[1] / "golden"
SAMPLES = [([1.0], [0.5, -2.0], [[[7], [3, 300]]]), ([0.0], [0.0, 3.0], [[[], [200]]])]
SPARSE = [("data", [1, 2])]
SHAPE = {"label_dim": 1, "dense_dim": 2}


def open_bytes(folder: Path, content: bytes, check_sum: bool = True, sparse=SPARSE, **fields):
    source = write_files(folder, {"x.data": content})
    return make_reader("norm", source, sparse, **{**SHAPE, "check_sum": check_sum, **fields})


def golden(name: str) -> bytes:
    return (GOLDEN / f"{name}.bin").read_bytes()


@pytest.mark.parametrize("check_sum", [False, True])
@pytest.mark.parametrize("i64", [False, True])
def test_golden_bytes_are_written_and_read(tmp_path, check_sum, i64):
    content = golden(f"norm_{'sum' if check_sum else 'plain'}_{'i64' if i64 else 'u32'}")
    write_norm(
        tmp_path / "w", [1, 0], [[0.5, -2], [0, 3]], [[[7], []], [[3, 300], [200]]], check_sum=check_sum, i64=i64
    )
    assert (tmp_path / "w").read_bytes() == content
    assert read_all(open_bytes(tmp_path, content, check_sum, i64_keys=i64)) == SAMPLES


def mutated(*changes: tuple[int, int]) -> bytes:
    content = bytearray(golden("norm_sum_u32"))
    for offset, value in changes:
        content[offset] = value
    return bytes(content)


def test_bad_check_byte_drops_one_sample(tmp_path, capfd):
    reader = open_bytes(tmp_path, mutated((0x50, 0x3E)), batch_size=1)
    assert read_all(reader) == SAMPLES[1:]
    assert reader.skipped == 1
    assert 'x.data": 1 of 2 samples skipped, check byte wrong, the first at offset 69' in capfd.readouterr().out


@pytest.mark.parametrize("check_sum", [False, True])
def test_more_keys_than_declared_is_an_error_and_no_damage(tmp_path, check_sum):
    """Also where they make the longest frame of the file longer than any that was declared."""
    keys = [[[1], [2, 3]], [[1], [2, 3, 4, 5]], [[1], [2, 3]]]
    write_norm(tmp_path / "w", [1, 0, 1], np.ones((3, 2)), [list(slot) for slot in zip(*keys)], check_sum=check_sum)
    reader = open_bytes(tmp_path, (tmp_path / "w").read_bytes(), check_sum, batch_size=1)
    reader.start()
    reader.next()
    with pytest.raises(InvalidArgumentError, match='sample 1 .*slot 1 of "data": 4 keys found, at most 2 declared'):
        reader.next()


def test_all_check_bytes_bad_is_an_error(tmp_path):
    for repeat in (False, True):
        reader = open_bytes(tmp_path, mutated((0x50, 0x3E), (0x86, 0)), repeat=repeat)
        reader.start()
        with pytest.raises(FileError, match="no usable sample in the whole data set; last problem: .*x.data.*2 of 2"):
            reader.next()


def test_samples_before_a_truncation_are_delivered(tmp_path):
    reader = open_bytes(tmp_path, golden("norm_sum_u32")[:-1], batch_size=1)
    reader.start()
    assert samples(reader.next()) == SAMPLES[:1]
    with pytest.raises(FileError, match='x.data", sample 1 at offset 106: truncated, 2 records announced, 1 found'):
        reader.next()


def test_too_many_announced_records(tmp_path):
    reader = open_bytes(tmp_path, mutated((0x0C, 3), (0x44, 9)), batch_size=1)
    reader.start()
    assert samples(reader.next()) == SAMPLES[:1] and samples(reader.next()) == SAMPLES[1:]
    with pytest.raises(FileError, match="truncated, 3 records announced, 2 found"):
        reader.next()


def set_field(content: bytes, index: int, value: int) -> bytes:
    return content[: 8 * index] + struct.pack("<q", value) + content[8 * (index + 1) :]


PLAIN = golden("norm_plain_u32")
SUM = golden("norm_sum_u32")


@pytest.mark.parametrize(
    ("content", "check_sum", "message"),
    [
        (mutated((0x04, 0), (0x44, 7)), True, "header: error_check 0 found, 1 expected \\(check_type is Sum\\)"),
        (mutated((0x04, 0)), True, "last problem: .*x.data\" at offset 0: header check byte wrong; the file is"),
        (mutated((0x24, 3), (0x44, 9)), True, "header: slot_num 3 found, 2 expected"),
        (mutated((0x00, 63)), True, "header frame length 63, expected 64"),
        (PLAIN, True, "error_check 0 found, 1 expected \\(check_type is Sum\\)"),
        (SUM, False, "error_check \\d+ found, 0 expected \\(check_type is Non\\)"),
        (set_field(PLAIN, 0, 2), False, "error_check 2 found"),
        (set_field(PLAIN, 1, -1), False, "number_of_records must not be negative, found -1"),
        (set_field(PLAIN, 2, 2), False, "label_dim 2 found, 1 expected"),
        (set_field(PLAIN, 3, 1), False, "dense_dim 1 found, 2 expected"),
        (PLAIN[:63], False, "truncated, the header needs 64 bytes, the file has 63"),
        (SUM[:68], True, "truncated, the header needs 69 bytes, the file has 68"),
        (b"", True, "truncated, the header needs 69 bytes, the file has 0"),
        (mutated((0x45, 33)), True, "sample 0 at offset 69: frame length 33, 32 implied by its content; this and all"),
        (mutated((0x45, 0)), True, "frame length 0, 32 implied"),
        (mutated((0x48, 0xFF)), True, "frame length -16777184, 32 implied"),
        (mutated((0x55, 9), (0x69, 0)), True,
         "sample 0 at offset 69, slot 0 of \"data\": 9 keys found, at most 1 declared.*i64_input_key"),
        (PLAIN[:-1], False, "sample 1 at offset 96: truncated, 2 records announced, 1 found"),
        (PLAIN[:0x4C] + struct.pack("<i", -1) + PLAIN[0x50:], False, "slot 0 of \"data\": -1 keys found"),
        (PLAIN[:0x50] + b"\xff\xff\xff\xff" + PLAIN[0x54:], False,
         "sample 0 at offset 64, slot 0 of \"data\": key 4294967295 is not in .*reserved"),
        (set_field(PLAIN, 1, 0), False, "no usable sample in the whole data set"),
    ],
)  # fmt: skip
def test_rejected_files(tmp_path, content, check_sum, message):
    reader = open_bytes(tmp_path, content, check_sum)
    reader.start()
    with pytest.raises((FileError, InvalidArgumentError), match=message) as error:
        while reader.next():
            pass
    assert str(tmp_path / ("list.txt" if "no usable" in str(error.value) else "x.data")) in str(error.value)


def test_reserved_i64_key(tmp_path):
    content = golden("norm_plain_i64")
    content = content[:0x50] + struct.pack("<q", 2**63 - 1) + content[0x58:]
    reader = open_bytes(tmp_path, content, False, i64_keys=True)
    reader.start()
    with pytest.raises(InvalidArgumentError, match="key 9223372036854775807 is not in"):
        reader.next()


def test_key_width_mismatch_gives_a_hint(tmp_path):
    for content, check_sum, i64 in (
        (PLAIN, False, True),
        (golden("norm_plain_i64"), False, False),
        (SUM, True, True),
        (golden("norm_sum_i64"), True, False),
    ):
        reader = open_bytes(tmp_path, content, check_sum, i64_keys=i64)
        reader.start()
        with pytest.raises((FileError, InvalidArgumentError), match="i64_input_key|implied"):
            reader.next()


def test_wide_keys_keep_their_values(tmp_path):
    keys = [0, 2**31, 2**32 - 2]
    write_norm(tmp_path / "u", [0] * 3, None, [np.array(keys)[:, None]])
    wide = [-5, 2**40, 2**63 - 2]
    write_norm(tmp_path / "i", [0] * 3, None, [np.array(wide)[:, None]], i64=True)
    for name, expected, i64 in (("u", keys, False), ("i", wide, True)):
        reader = open_bytes(tmp_path, (tmp_path / name).read_bytes(), True, [("d", [1])], dense_dim=0, i64_keys=i64)
        assert [row[2][0][0][0] for row in read_all(reader)] == expected


def test_damaged_header_skips_only_that_file(tmp_path, capfd):
    source = write_files(tmp_path, {"a": mutated((0x04, 0)), "b": SUM})
    assert read_all(make_reader("norm", source, SPARSE, **SHAPE, check_sum=True)) == SAMPLES
    assert "header check byte wrong; the file is skipped" in capfd.readouterr().out


def test_damaged_length_skips_the_rest_of_the_file(tmp_path, capfd):
    bad = bytearray(SUM)
    bad[0x6A] = 0x19  # length of sample 1
    source = write_files(tmp_path, {"a": bytes(bad), "b": SUM})
    reader = make_reader("norm", source, SPARSE, **SHAPE, check_sum=True)
    assert read_all(reader) == SAMPLES[:1] + SAMPLES
    assert reader.skipped == 1
    assert (
        'a", sample 1 at offset 106: frame length 25, 24 implied by its content; '
        "this and all later samples of the file are skipped (1 of 2)" in capfd.readouterr().out
    )


def test_trailing_bytes_and_empty_files_are_accepted(tmp_path, capfd):
    source = write_files(tmp_path, {"e": set_field(PLAIN[:64], 1, 0), "a": PLAIN + b"abc", "f": PLAIN[:8] * 8})
    empty = struct.pack("<8q", 0, 0, 1, 2, 2, 0, 0, 0)
    (tmp_path / "f").write_bytes(empty)
    reader = make_reader("norm", source, SPARSE, **SHAPE, num_workers=3, repeat=True)
    assert [row for batch in batches(reader, 3) for row in samples(batch)] == SAMPLES * 3
    assert "3 bytes after the 2 announced records are ignored" in capfd.readouterr().out


def test_fixed_length_is_a_hint(tmp_path):
    fixed, varying = (open_bytes(tmp_path, PLAIN, False, [("data", [1, 2], hint)]) for hint in (True, False))
    assert read_all(fixed) == read_all(varying)


def test_slots_share_the_keys_of_a_sample(tmp_path):
    """The first sample has 1 + 2 keys: an average of 1 a slot allows 2, of 2 allows 4 wherever they are."""
    assert read_all(open_bytes(tmp_path, PLAIN, False, [("data", [1, 1], False, 3)])) == read_all(
        open_bytes(tmp_path, PLAIN, False, [("data", [1, 2])])
    )
    reader = open_bytes(tmp_path, PLAIN, False, [("data", [1, 1], False, 2)])
    reader.start()
    text = (
        '"data": 3 keys found in the slots up to 1, at most 2 declared for all of a sample .nnz_per_slot 1 of 2 slots.'
    )
    with pytest.raises(InvalidArgumentError, match=text):
        reader.next()


def test_slots_are_split_over_inputs_in_order(tmp_path):
    reader = open_bytes(tmp_path, PLAIN, False, [("wide", [1]), ("deep", [2])])
    assert [row[2] for row in read_all(reader)] == [[[[7]], [[3, 300]]], [[[]], [[200]]]]


def test_spec_is_checked():
    for fields, message in (
        ({"batch_size": 0}, "batch size must be positive, got 0"),
        ({"label_dim": 0}, "label_dim must be positive"),
        ({"dense_dim": -1}, "dense_dim must not be negative"),
        ({"num_workers": 0}, "num_workers must be positive, got 0"),
    ):
        with pytest.raises(InvalidArgumentError, match=message):
            make_reader("norm", "x", SPARSE, **fields)
    with pytest.raises(InvalidArgumentError, match='sparse input "d": slot_num must be positive'):
        make_reader("norm", "x", [("d", [])])
    with pytest.raises(InvalidArgumentError, match='sparse input "d": nnz_per_slot must be in .*, got 0'):
        make_reader("norm", "x", [("d", [1, 0])])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), check_sum=st.booleans(), i64=st.booleans())
def test_round_trip(tmp_path, data, check_sum, i64):
    inputs = data.draw(st.lists(st.lists(st.integers(1, 5), min_size=1, max_size=4), min_size=1, max_size=3))
    label_dim, dense_dim = data.draw(st.integers(1, 2)), data.draw(st.integers(0, 3))
    seed, workers, batch_size = (data.draw(st.integers(*r)) for r in ((0, 2**32 - 1), (1, 3), (1, 7)))
    rng = np.random.default_rng(seed)
    low, high = (-(2**63), 2**63 - 1) if i64 else (0, 2**32 - 1)
    files, expected = [], []
    for k in range(3):
        n = int(rng.integers(0 if k else 1, 12))
        labels, dense = rng.random((n, label_dim), np.float32), rng.random((n, dense_dim), np.float32)
        slots = [
            [rng.integers(low, high, rng.integers(0, nnz + 1)) for _ in range(n)]
            for nnz_per_slot in inputs
            for nnz in nnz_per_slot
        ]
        files.append(tmp_path / f"{k}.data")
        write_norm(files[-1], labels, dense, slots, check_sum=check_sum, i64=i64)
        for i in range(n):
            row, split = [slot[i].tolist() for slot in slots], []
            for nnz_per_slot in inputs:
                split.append(row[: len(nnz_per_slot)])
                row = row[len(nnz_per_slot) :]
            expected.append((labels[i].tolist(), dense[i].tolist(), split))
    write_file_list(tmp_path / "list.txt", files)
    reader = make_reader(
        "norm",
        tmp_path / "list.txt",
        [(f"s{i}", nnz) for i, nnz in enumerate(inputs)],
        label_dim=label_dim,
        dense_dim=dense_dim,
        check_sum=check_sum,
        i64_keys=i64,
        num_workers=workers,
        batch_size=batch_size,
    )
    assert sorted(read_all(reader)) == sorted(expected)
    if workers == 1:
        assert read_all(reader) == expected
