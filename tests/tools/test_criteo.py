# SPDX-License-Identifier: Apache-2.0
"""Converters of Criteo's text: bytes by the description of the formats, and mistakes named by line and column."""

from __future__ import annotations

import random
import struct
import subprocess
import sys
from collections import Counter
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from harness.readers import make_reader, read_all
from hugectr.errors import FileError, InvalidArgumentError
from hugectr.tools import criteo2hugectr, criteo2raw, preprocess

DENSE = 13


def sample(rng, keys, largest=1000):
    return [
        rng.randint(0, 1),
        *(round(rng.random(), 6) for _ in range(DENSE)),
        *(rng.randint(0, largest) for _ in range(keys)),
    ]


def write(path: Path, samples, end="\n", separator=" "):
    path.write_text("\n".join(separator.join(map(str, s)) for s in samples) + end)
    return path


def frame(payload):
    return struct.pack("<i", len(payload)) + payload + bytes([sum(payload) % 256])


def norm_bytes(samples, wide):
    slots = 26 + (wide > 0)
    out = frame(struct.pack("<8q", 1, len(samples), 1, DENSE, slots, 0, 0, 0))
    for s in samples:
        floats, keys = s[: DENSE + 1], s[DENSE + 1 :]
        payload = struct.pack("<14f", *floats)
        if wide:
            payload += struct.pack(f"<i{wide}I", wide, *keys[:wide])
        for key in keys[wide:]:
            payload += struct.pack("<iI", 1, key)
        out += frame(payload)
    return out


@pytest.mark.parametrize("end, separator", [("\n", " "), ("", "\t"), ("\r\n", " ")])
@pytest.mark.parametrize("wide", [0, 2])
def test_norm(tmp_path, wide, end, separator):
    rng = random.Random(wide)
    samples = [sample(rng, 26 + wide) for _ in range(50)]
    text = write(tmp_path / "in.txt", samples, end, separator)
    done = criteo2hugectr(text, tmp_path / "part_", tmp_path / "list.txt", wide)
    assert (tmp_path / "part_0.data").read_bytes() == norm_bytes(samples, wide)
    assert (tmp_path / "list.txt").read_text() == f"1\n{tmp_path}/part_0.data\n"
    keys = list(dict.fromkeys(key for s in samples for key in s[DENSE + 1 :]))
    assert (tmp_path / "list.keyset").read_bytes() == struct.pack(f"<{len(keys)}I", *keys)
    assert (done.samples, done.files, done.keys) == (50, 1, len(keys))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.txt", "list.keyset", "list.txt", "part_0.data"]
    params = [("wide", [wide]), ("deep", [1] * 26)] if wide else [("deep", [1] * 26)]
    reader = make_reader("norm", tmp_path / "list.txt", params, label_dim=1, dense_dim=DENSE, check_sum=True)
    read = read_all(reader)
    assert [s[0][0] for s in read] == [s[0] for s in samples]
    assert read[7][2][-1] == [[key] for key in samples[7][-26:]]


def test_lists_of_files_and_their_keys(tmp_path):
    """100,000 samples are three files; lists of two."""
    line = " ".join(["1", *["0.5"] * DENSE])
    with open(tmp_path / "in.txt", "w") as file:
        for i in range(100000):
            file.write(line + "".join(f" {i // 50000 * 26 + k}" for k in range(26)) + "\n")
    done = criteo2hugectr(tmp_path / "in.txt", f"{tmp_path}/d/", tmp_path / "lists/l.txt", files_per_list=2)
    assert (done.samples, done.files) == (100000, 3)
    assert (tmp_path / "lists/l.0.txt").read_text() == f"2\n{tmp_path}/d/0.data\n{tmp_path}/d/1.data\n"
    assert (tmp_path / "lists/l.1.txt").read_text() == f"1\n{tmp_path}/d/2.data\n"
    counts = [struct.unpack("<2q", (tmp_path / f"d/{i}.data").read_bytes()[4:20])[1] for i in range(3)]
    assert counts == [40960, 40960, 100000 - 2 * 40960]
    keysets = [np.fromfile(tmp_path / f"lists/l.{i}.keyset", "<u4").tolist() for i in range(2)]
    assert keysets == [list(range(52)), list(range(26, 52))]
    assert sorted(p.name for p in (tmp_path / "lists").iterdir()) == ["l.0.keyset", "l.0.txt", "l.1.keyset", "l.1.txt"]


def test_raw(tmp_path):
    samples = [sample(random.Random(1), 26) for _ in range(30)]
    done = criteo2raw(write(tmp_path / "in.txt", samples), tmp_path / "out.bin")
    assert (tmp_path / "out.bin").read_bytes() == b"".join(struct.pack("<14f26i", *s) for s in samples)
    assert done.samples == 30


NUMBERS = [
    "0", "-0", "1", "-1.5", ".5", "5.", "0.1", "1e3", "1E-3", "-2.5e+2", "123456789012345678", "16777217", "16777219",
    "0.000000000000000000000000000000000000012", "3.4028234e38", "1e-46", "8388609.5", "0.30000001192092896",
]  # fmt: skip


def nearest(text):
    """The nearest 32-bit float, even where two are equally near. Through a double it would be rounded twice."""
    value, guess = Fraction(text), np.float32(text)
    with np.errstate(over="ignore"):
        around = [guess, *(np.nextafter(guess, np.float32(end), dtype=np.float32) for end in (-np.inf, np.inf))]
    finite = [candidate for candidate in around if np.isfinite(candidate)]
    return min(finite, key=lambda f: (abs(Fraction(float(f)) - value), f.view(np.uint32) & 1))


def test_numbers_are_the_nearest_floats(tmp_path):
    rng = random.Random(2)
    numbers = NUMBERS + [f"{rng.uniform(-10, 10):.{rng.randint(0, 14)}f}" for _ in range(1000)]
    for _ in range(1000):  # halfway between two floats, and a little to either side
        value = np.float32(rng.random())
        middle = (float(value) + float(np.nextafter(value, np.float32(2)))) / 2
        numbers += [repr(middle), f"{middle:.17f}", f"{middle:.14f}"]
    numbers = numbers[: len(numbers) // DENSE * DENSE]
    rows = [["1", *numbers[i : i + DENSE], *["0"] * 26] for i in range(0, len(numbers), DENSE)]
    criteo2raw(write(tmp_path / "in.txt", rows), tmp_path / "out.bin")
    read = np.fromfile(tmp_path / "out.bin", "<f4").reshape(-1, 40)[:, 1:14].ravel()
    expected = np.array([nearest(n) for n in numbers])
    np.testing.assert_array_equal(read, expected)
    assert np.signbit(read[1])  # of -0


GOOD = ["1", *["0.5"] * DENSE, *["7"] * 26]


@pytest.mark.parametrize(
    "line, message",
    [
        ({0: "x"}, 'line 3, column 1: "x" is not a number'),
        ({5: "nan"}, 'line 3, column 6: "nan" is not a number'),
        ({5: "1e39"}, 'line 3, column 6: "1e39" is not a number'),
        ({5: ""}, 'line 3, column 6: "" is not a number'),
        ({20: "-1"}, 'line 3, column 21: "-1" is not a whole number from 0 to'),
        ({20: "2.0"}, 'line 3, column 21: "2.0" is not a whole number'),
        ({39: "99999999999"}, 'line 3, column 40: "99999999999" is not a whole number from 0 to'),
        ({39: "7 7"}, r"line 3: 41 columns, expected 40 \(14 numbers, then 26 ids\)"),
        ({39: None}, "line 3: 39 columns, expected 40"),
        (None, "line 3: empty, expected 40 columns"),
    ],
)
@pytest.mark.parametrize("convert", ["norm", "raw"])
def test_a_bad_line_leaves_what_was_there(tmp_path, line, message, convert):
    changed = [value for i, old in enumerate(GOOD) if (value := (line or {}).get(i, old)) is not None]
    rows = [GOOD, GOOD, changed if line else [], GOOD]
    text = write(tmp_path / "in.txt", rows)
    targets = [tmp_path / name for name in ("out0.data", "list.txt", "list.keyset")]
    for target in targets:
        target.write_text("old")
    with pytest.raises(FileError, match=f'in.txt", {message}'):
        if convert == "raw":
            criteo2raw(text, targets[0])
        else:
            criteo2hugectr(text, tmp_path / "out", tmp_path / "list.txt")
    assert [target.read_text() for target in targets] == ["old"] * 3
    assert len(list(tmp_path.iterdir())) == 4


def test_texts_that_are_none(tmp_path):
    (tmp_path / "empty").touch()
    with pytest.raises(FileError, match="is empty: nothing to convert"):
        criteo2raw(tmp_path / "empty", tmp_path / "out")
    with pytest.raises(FileError, match="No such file"):
        criteo2hugectr(tmp_path / "none", tmp_path / "out")
    (tmp_path / "zeros").write_bytes(bytes(20 << 20))
    with pytest.raises(FileError, match="line 1: longer than [0-9]+ bytes; is this a text"):
        criteo2raw(tmp_path / "zeros", tmp_path / "out")
    for arguments in ({"wide_keys": -1}, {"wide_keys": 10**6}, {"files_per_list": -1}):
        with pytest.raises(InvalidArgumentError, match=next(iter(arguments))):
            criteo2hugectr(tmp_path / "empty", tmp_path / "out", tmp_path / "list", **arguments)


def test_blocks_of_lines_are_seamless(tmp_path):
    """Long lines of many lengths, more than one block of them."""
    rng = random.Random(3)
    rows = [["1", *["0." + "1" * rng.randint(1, 40) for _ in range(DENSE)], *[str(i)] * 26] for i in range(20000)]
    criteo2raw(write(tmp_path / "in.txt", rows), tmp_path / "out.bin")
    table = np.fromfile(tmp_path / "out.bin", "<i4").reshape(-1, 40)
    assert (table[:, 14:] == np.arange(20000)[:, np.newaxis]).all()


def reference(rows, normalize, cross):
    """The preprocessing, value by value."""
    columns = list(zip(*rows))
    labels = sorted({int(v) for v in columns[0]})
    out = [[labels.index(int(v)) for v in columns[0]]]
    codes, first, last = [], [], 0
    for c, column in enumerate(columns[1:]):
        missing = str(-(2**31)) if c < DENSE else "80000000"
        filled = [v or missing for v in column]
        counts = Counter(filled)
        kept = [v if counts[v] >= 6 else missing for v in filled]
        values = sorted(set(kept), key=int if c < DENSE else str)
        ranks = [values.index(v) for v in kept]
        if c < DENSE:
            out.append([r / max(len(values) - 1, 1) if normalize else r + 1 for r in ranks])
        else:
            codes.append(ranks)
            first.append(first[-1] + last if first else 1)
            last = len(values)
    ids = first[-1] - 1 + last
    crossed = []
    for a, b in ((0, 1), (2, 3)) if cross else ():
        pairs = list(zip(codes[a], codes[b]))
        known = sorted(set(pairs))
        crossed.append([known.index(p) + 1 + ids for p in pairs])
        ids += len(known)
    out += crossed + [[r + f for r in ranks] for ranks, f in zip(codes, first)]
    return list(zip(*out)), ids


@pytest.mark.parametrize("normalize, cross", [(True, True), (False, False)])
def test_preprocess(tmp_path, normalize, cross):
    rng = random.Random(4)
    rows = []
    for _ in range(400):
        integers = [rng.choice(["", str(rng.randint(-3, 12))]) for _ in range(DENSE)]
        rows.append(
            [str(rng.randint(0, 1)), *integers, *(rng.choice(["", f"{rng.randint(0, 40):08x}"]) for _ in range(26))]
        )
    write(tmp_path / "in.txt", rows, separator="\t")
    ids = preprocess(tmp_path / "in.txt", tmp_path / "out.txt", normalize, cross)
    expected, expected_ids = reference(rows, normalize, cross)
    read = [[float(v) for v in line.split(" ")] for line in (tmp_path / "out.txt").read_text().splitlines()]
    assert ids == expected_ids == max(max(row[14:]) for row in read)
    np.testing.assert_allclose(read, expected, rtol=1e-15)


def test_preprocess_names_what_is_wrong(tmp_path):
    (tmp_path / "in.txt").write_text("1\t2\n")
    with pytest.raises(FileError, match="in.txt.* as Criteo text of 40 fields: .*Expected 40 columns, got 2"):
        preprocess(tmp_path / "in.txt", tmp_path / "out.txt")
    write(tmp_path / "in.txt", [["1", "x", *["3"] * 12, *["a"] * 26]] * 6, separator="\t")
    with pytest.raises(FileError, match="in.txt.*, column I1: .*'x'"):
        preprocess(tmp_path / "in.txt", tmp_path / "out.txt")
    assert not (tmp_path / "out.txt").exists()


def test_the_commands(tmp_path):
    rng = random.Random(5)
    rows = [[str(rng.randint(0, 1)), *["1"] * 13, *(rng.choice("abcd") for _ in range(26))] for _ in range(100)]
    write(tmp_path / "day", rows, separator="\t")
    for command in (
        "preprocess day train.txt",
        "criteo2hugectr train.txt data/ file_list.txt 2 100",
        "preprocess day plain.txt --feature_cross=0",
        "criteo2raw plain.txt train.bin",
    ):
        subprocess.run([sys.executable, "-m", "hugectr.tools", *command.split()], cwd=tmp_path, check=True)
    assert (tmp_path / "file_list.0.txt").read_text() == "1\ndata/0.data\n"
    assert (tmp_path / "train.bin").stat().st_size == 100 * 160
    failed = subprocess.run(
        [sys.executable, "-m", "hugectr.tools", "criteo2raw", "day", "x.bin"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert failed.returncode == 1
    assert failed.stderr.startswith('error: "day", line 1, column 15: ')
