# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os

import pytest
from harness.readers import make_reader, read_all
from hugectr.errors import FileError, InvalidArgumentError
from hugectr.tools import write_file_list, write_norm


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "data").mkdir()
    for i in range(3):
        write_norm(tmp_path / "data" / f"{i}.data", [i], None, [[[i]]])
    return tmp_path


def reader_of(folder, text):
    (folder / "list.txt").write_bytes(text.encode())
    return make_reader("norm", folder / "list.txt", [("d", [1])], check_sum=True)


def labels(folder, text):
    return [row[0][0] for row in read_all(reader_of(folder, text))]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", 'line 1: expected the number of data files, found ""'),
        ("\n\n", "line 1: expected the number"),
        ("abc\nx", 'found "abc"'),
        ("10abc\nx", 'found "10abc"'),
        (" 1\nx", 'found " 1"'),
        ("0\n", 'found "0"'),
        ("-1\nx", 'found "-1"'),
        ("1e3\nx", 'found "1e3"'),
        ("99999999999999999999\nx", "line 1: expected"),
        ("3\ndata/0.data\ndata/1.data", "3 data files announced, 2 found"),
        ("2\ndata/0.data\n \t\r\ndata/1.data", "line 3: empty path; 2 data files announced, 1 found"),
        ("1\ndata/9.data\n", 'line 2: data file "data/9.data" does not exist'),
    ],
)
def test_rejected_lists(folder, text, message):
    with pytest.raises(FileError, match=message) as error:
        reader_of(folder, text).start()
    assert str(folder / "list.txt") in str(error.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xff\xfe\x00garbage\x1b[31m\n", 'line 1: .* found "\\\\xff\\\\xfe\\\\x00garbage\\\\x1b.31m"'),
        ("größe 1\n".encode(), 'found "größe 1"'),
        (b"\xc3\xa9 \xe0\x80\x80 \xed\xa0\x80 \xf4\x90\x80\x80\n", '"é .xe0.x80.x80 .xed.xa0.x80 .xf4.x90.x80.x80"'),
        (b"\xf0\x9f\x99\x82 \xc2\x80 \xe2\x82\n", 'found "🙂 .xc2.x80 .xe2.x82"'),
        (b"1\n\xff\xfe.data\n", 'data file "\\\\xff\\\\xfe.data" does not exist'),
    ],
)
def test_bytes_that_are_no_text(folder, content, message):
    (folder / "list.txt").write_bytes(content)
    with pytest.raises(FileError, match=message):
        make_reader("norm", folder / "list.txt", [("d", [1])]).start()


def test_files_named_by_bytes_that_are_no_text(folder):
    (folder / "list.txt").write_bytes(b"1\n\xff.data\n")
    with open(os.fsencode(folder) + b"/\xff.data", "wb") as file:
        file.write(b"short")
    reader = make_reader("norm", folder / "list.txt", [("d", [1])], check_sum=True)
    reader.start()
    with pytest.raises(FileError, match=r"\\xff.data\": truncated"):
        reader.next()


def test_a_moved_folder_is_found_by_the_end_of_its_paths(folder, capfd):
    assert labels(folder, "2\n/gone/of/data/0.data\ngone/data/1.data") == [0, 1]
    assert 'names files that do not exist, such as "/gone/of/data/0.data"; "' in capfd.readouterr().out
    with pytest.raises(FileError, match='line 3: data file "/gone/data/9.data" does not exist'):
        reader_of(folder, "2\ndata/0.data\n/gone/data/9.data").start()
    with pytest.raises(FileError, match='line 2: data file "/gone/" does not exist'):
        reader_of(folder, "1\n/gone/\n").start()


@pytest.mark.parametrize("files", [[], [""], ["a\nb"], ["a "], ["a", "b\r"]])
def test_lists_that_no_reader_would_understand_are_not_written(files, tmp_path):
    with pytest.raises(InvalidArgumentError, match="a file list needs at least one file|cannot stand on a line"):
        write_file_list(tmp_path / "list.txt", files)
    assert not (tmp_path / "list.txt").exists()


def test_missing_list():
    with pytest.raises(FileError, match='cannot open "/no/list": No such file'):
        make_reader("norm", "/no/list", [("d", [1])]).start()


def test_trailing_blanks_are_trimmed(folder):
    assert labels(folder, "2 \r\ndata/0.data\r\ndata/1.data \t\r\n") == [0, 1]


def test_surplus_lines_are_ignored_with_a_warning(folder, capfd):
    assert labels(folder, "1\ndata/0.data\n\n\n") == [0]
    assert "ignored" not in capfd.readouterr().out
    assert labels(folder, "1\ndata/0.data\n\ndata/1.data\n") == [0]
    assert "announces 1 data files; line 4 and what follows is ignored" in capfd.readouterr().out


def test_working_directory_comes_before_the_list_folder(folder, monkeypatch):
    elsewhere = folder / "elsewhere"
    (elsewhere / "data").mkdir(parents=True)
    write_norm(elsewhere / "data" / "0.data", [7], None, [[[0]]])
    monkeypatch.chdir(elsewhere)
    assert labels(folder, "2\ndata/0.data\ndata/1.data") == [7, 1]
    assert labels(folder, f"1\n{folder}/data/2.data") == [2]
