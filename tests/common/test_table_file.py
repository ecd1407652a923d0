"""Strict reading of CSV files: what is read, and what is refused in which line."""

import bz2
import gzip
import lzma

import pyarrow as pa
import pytest

from splitlaw.common.errors import UserError
from splitlaw.common.table_file import read_table_file

WANTED = ("name", "loss")


def read(tmp_path, content):
    path = tmp_path / "t.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_table_file(path, WANTED)


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        ("name,loss\na,1\nb,2\n", [["a", "1"], ["b", "2"]]),
        ("name,loss\r\na,1\r\nb,2\r\n", [["a", "1"], ["b", "2"]]),
        ("name,loss\ra,1\rb,2\r", [["a", "1"], ["b", "2"]]),
        ("\ufeffname,loss\na,1\n", [["a", "1"]]),
        ("name;loss\na,b;1\n", [["a,b", "1"]]),
        ("name\tloss\na b\t1\n", [["a b", "1"]]),
        ("name,loss,note\na,1,x;y;z;w\n", [["a", "1", "x;y;z;w"]]),
        (" name , loss \n a,  1\n", [["a", "1"]]),
        ('"name","loss"\n"a, b","1"\n', [["a, b", "1"]]),
        ('name,loss\n"a ""b""",1\n', [['a "b"', "1"]]),
        ('name,loss\n "a" ,"1" \n', [["a", "1"]]),
        ('name,loss\n"a\nb",1\n"c\r\nd",2\n', [["a\nb", "1"], ["c\r\nd", "2"]]),
        ("\nname,loss\n\na,1\n  \nb,2\n\n\n", [["a", "1"], ["b", "2"]]),
        ("name,loss\na,\n,1\n", [["a", ""], ["", "1"]]),
        ('name,loss\n"",1\n', [["", "1"]]),
        ("name,loss\nNA,1\nnull,2\n001,3\n", [["NA", "1"], ["null", "2"], ["001", "3"]]),
        ("name,loss", []),
    ],
)
def test_files_that_are_read(content, rows, tmp_path):
    assert read(tmp_path, content).rows == rows


def test_lines_count_line_breaks_within_cells(tmp_path):
    file = read(tmp_path, 'name,loss\n"a\nb",1\n\r\nc,2\n')
    assert file.lines == [2, 5]
    assert file.ended and not read(tmp_path, "name,loss\na,1").ended


@pytest.mark.parametrize(
    ("content", "gap"),
    [
        ("name,loss\na,1\n\nb,2\n", 3),
        ("name,loss\na,1\n \n\nb,2\nc,3\n", 3),
        ("name,loss\n\na,1\nb,2\n", 2),
        ("\nname,loss\na,1\nb,2\n\n\n", None),
        ("name,loss\n\na,1\n\nb,2\n\n", None),
    ],
)
def test_an_empty_line_in_the_place_of_a_row_is_found(content, gap, tmp_path):
    """Python's csv writes one before every row on Windows if a file was not opened as it asks."""
    assert read(tmp_path, content).gap == gap


def test_columns_without_a_name_are_named_as_in_pandas(tmp_path):
    assert read(tmp_path, ",name,loss,\n0,a,1,\n").header == [
        "Unnamed: 0",
        "name",
        "loss",
        "Unnamed: 3",
    ]


def zst(data):
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(data)
    return sink.getvalue().to_pybytes()


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress, zst])
def test_compressed_files_are_read_and_damaged_ones_refused(compress, tmp_path):
    data = compress(b"name,loss\na,1\n")
    assert read(tmp_path, data).rows == [["a", "1"]]
    two = data + compress(b"b,2\n")
    assert read(tmp_path, two).rows == [["a", "1"], ["b", "2"]]
    # matomo-log-analytics issue 243: the streams after some other bytes were lost silently.
    for damaged in (data[:-4], data + b"x" + two, two[: len(data)] + b"\1" + two[len(data) + 1 :]):
        with pytest.raises(UserError, match="is compressed, and damaged"):
            read(tmp_path, damaged)


def test_a_column_named_like_the_mark_of_an_archive_is_read(tmp_path):
    """Our own case: `PK` is also the usual name of a primary key."""
    assert read(tmp_path, "PK_id,name,loss\n1,a,1\n").rows == [["1", "a", "1"]]
    assert read(tmp_path, "BZh9,name,loss\n1,a,1\n").rows == [["1", "a", "1"]]


def test_utf_16_is_read(tmp_path):
    assert read(tmp_path, "name\tloss\né\t1\n".encode("utf-16")).rows == [["é", "1"]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty; give a header and rows"),
        (" \n\n", "is empty"),
        ("name,loss\na,1\nb,2,3\n", "line 3: 3 cells, but the header has 2; write numbers without"),
        ("name;loss\na;1\nb;2;3\n", "line 3: 3 cells, .* quote text that contains semicolons"),
        ("name,loss\na,1\nb\n", "line 3: 1 cells, but the header has 2; complete the row"),
        ("name,loss\na,1,\n", "line 2: 3 cells"),
        ("name,loss,loss\na,1,2\n", "line 1: columns 2 and 3 are both called loss"),
        ("name,loss, loss \na,1,2\n", "columns 2 and 3 are both called loss"),
        (
            "name|loss\na|1\n",
            r"line 1: the header has one column, 'name\|loss'; separate",
        ),
        ('name,loss\n"a,1\nb,2\n', "line 2: a quotation mark opens a cell"),
        ('name,loss\n"a"b,1\n', "line 2: a quotation mark opens a cell"),
        ('"name,loss\na,1\n', "line 1: a quotation mark opens a cell"),
        ('na"me,loss\na,1\n', "line 1: column 'na\"me' contains a quotation mark"),
        (
            'name,loss\n"a,1\nb",2\n',
            "line 2: a quoted cell contains the numbers of another",
        ),
        ("sep=;\nname;loss\na;1\n", "line 1: names the separator; remove this line"),
        (b"name,loss\na,1\n\xe9,2\n", "line 3: is not UTF-8 text"),
        (b"PK\x03\x04rest", "is a ZIP archive or a spreadsheet; save the table as CSV"),
        (b"PAR1\x15rest", "is a Parquet file"),
        (b"%PDF-1.4", "is a PDF document"),
        (b"name,loss\na\x00,1\n", "is not a text file"),
        (b"\xff\xfen\x00a", "is not UTF-16 text|one column"),
    ],
)
def test_files_that_are_refused(content, message, tmp_path):
    with pytest.raises(UserError, match=message):
        read(tmp_path, content)


def test_a_folder_and_a_missing_file_are_refused(tmp_path):
    for path in (tmp_path, tmp_path / "none.csv", tmp_path / ("x" * 300)):
        with pytest.raises(UserError, match="no such file"):
            read_table_file(path)
