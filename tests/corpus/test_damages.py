"""Damaged files of every format are refused in one line, or read rightly."""

import io
import json
import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from damages import campaign, outcome, reading, stored
from datasets import Dataset, disable_progress_bars
from file_damages import FORMATS
from file_writers import Written, zst

from splitlaw.cli import main
from splitlaw.common.errors import UserError
from splitlaw.corpus.sources.checksums import NO_CHECKSUM, NO_PAGE_CHECKSUM, has_checksums
from splitlaw.corpus.sources.files import open_decompressed
from splitlaw.corpus.sources.input_errors import EMPTY_TEXT, InputErrors, Notes
from splitlaw.corpus.sources.reading import read_source
from splitlaw.experiment.source_settings import Source

disable_progress_bars()
COUNT = 60
"""Damages of each format, in a second or less; `make campaign` tries 2,000."""


@pytest.mark.parametrize("name", FORMATS)
def test_no_damage_changes_texts_without_a_message(name: str, tmp_path: Path) -> None:
    rows = campaign(name, COUNT, seed=1)
    faults = rows[rows["outcome"].str.startswith("fault")]
    assert faults.empty, faults.iloc[0].to_dict()
    assert (rows["outcome"] == "refused").sum() > COUNT / 3
    file = FORMATS[name].write(random.Random(0))
    with stored(file.data, FORMATS[name].suffix, tmp_path) as (source, _):
        assert reading(source)[0] == file.texts, "without a damage, nothing is refused"
    # A few damages leave a file that the writer could have written for other texts.
    assert rows["outcome"].isin(["unseen", "no checksum"]).sum() < COUNT / 5


def judged(
    name: str,
    found: list[str] | None,
    *messages: str,
    kind: str = "byte changed",
    notes: Notes | None = None,
) -> str:
    """The outcome of a reading of three texts, of which nothing was damaged."""
    file = Written(data=b"", texts=["0 one", "1 two", "2 three"])
    return outcome(FORMATS[name], file, [], kind, found, list(messages), notes or {}, Path("a"))


def test_a_wrong_reading_is_a_fault_whatever_else_is_said() -> None:
    right, other = ["0 one", "1 two", "2 three"], ["0 one", "1 tw", "2 three"]
    cut, row = (
        "note: a: no line end after the last row",
        "note: a:2: a quoted cell has lines like rows",
    )
    unchecked = "note: a: no checksum, so"
    assert judged("csv", right) == "right"
    assert judged("csv", None, "a:2: more cells than the header") == "refused"
    assert judged("csv", ["0 one", "1 t"], cut) == "named"
    assert judged("tsv", ["0 one", "1 two\n2 three"], row) == "named"
    assert judged("arrow", other, unchecked) == "no checksum"
    assert judged("parquet without checksums", other, unchecked) == "no checksum"
    assert judged("csv", ["0 one", "", "2 three"], notes={EMPTY_TEXT: (1, "a:3")}) == "named"
    for wrong in [
        judged("csv", ["0 one", "", "2 three"]),
        judged("csv", ["0 one", "", ""], notes={EMPTY_TEXT: (1, "a:3")}),
        judged("csv", ["0 one", "", "2 thre"], notes={EMPTY_TEXT: (1, "a:3")}),
        judged("csv", ["0 one", ""], notes={EMPTY_TEXT: (1, "a:3")}),
        judged("csv", ["0 one", "", "2 three"], notes={EMPTY_TEXT: (1, "b:3")}),
        judged("csv", other),
        judged("csv", other, cut),
        judged("csv", ["0 one", "2 three"], cut),
        judged("csv", other, "note: b: anything"),
        judged("csv", other, unchecked),
        judged("csv", None, "line 2: more cells"),
        judged("csv", None, "note: a: x", "a:2: more cells"),
        judged("tsv", ["0 one", "and two"], row),
        judged("parquet", other, unchecked),
        judged("parquet without checksums", other),
        judged("arrow", other),
        judged("arrow", right[:2], unchecked),
        judged("arrow", other, unchecked, kind="truncated"),
    ]:
        assert wrong.startswith("fault")


def read(path: Path, on_bad_input: str = "stop") -> list[str]:
    return list(read_source(Source(files=str(path)), InputErrors(on_bad_input)))


def test_joined_files_are_refused_where_columns_or_pages_would_be_mixed(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("id,text\n1,one\n2,two\ntext,id\nthree,3\n")
    with pytest.raises(UserError, match=r"a\.csv:4: a second header"):
        read(path)
    parts = []
    for texts in (["one", "two"], ["three", "four"]):
        sink = io.BytesIO()
        pq.write_table(pa.table({"text": texts}), sink)
        parts.append(sink.getvalue())
    path = tmp_path / "a.parquet"
    path.write_bytes(b"".join(parts))
    with pytest.raises(UserError, match=r"a\.parquet: several Parquet files joined"):
        read(path)
    path.write_bytes(parts[1])
    assert read(path) == ["three", "four"]
    path = tmp_path / "a.jsonl"
    path.write_text('{"id": 1, "text": "one"}\n{"id": 2, "text": "two", "id": 3, "text": "three"}')
    with pytest.raises(UserError, match=r"a\.jsonl:2: a key occurs twice"):
        read(path)
    assert read(path, "skip") == ["one"]


def test_rows_that_a_lost_quote_or_zeros_have_joined_are_named(tmp_path: Path, capsys) -> None:
    path = tmp_path / "a.csv"
    path.write_text("text,id,note\none,10\0\0\0\0\0\0,x\nthree,3,x\n")
    with pytest.raises(UserError, match=r"a\.csv:2: NUL bytes in a row"):
        read(path)
    path = tmp_path / "a.tsv"
    path.write_text('id\ttext\n1\t"one\n2\ttwo\n3\tthree"\n')
    assert len(read(path)) == 1
    assert "a quoted cell has lines like rows; a quote may be lost" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ('id,text\n1,"a, b\n2,c, d"\n3,"e\nf"\n', "2"),  # lost: the quotes before and after `\n2,`
        ('text,id\n"a, b,1\nc, d",2\n"e\nf",3\n', "2"),
        ('id,text,note\n1,"a, b",x\n2,"c, d,x\n3,e, f",y\n', "3"),
        ('id,text\n1,"a, b\nand 2,c, d"\n', ""),
        ('name,text\nx,"a, b\ny,c, d"\n', ""),
        ('id,text,note\n1,one,"x, y\n2,two,x, y"\n3,three,"x, y"\n', "2"),
        ('id,text,note\n7,"a\n3,b",x\n', ""),
        ('id,text,note\n7,"a,x\n3,b",x\n', "2"),  # ids in another order
        ('text,id\n"1, 2\n3, 4",5\n', ""),
        ('id,text\n2018,"In the spring of\n2019, it rained."\n', ""),
        ('id,text\n1,"In the spring of\n2019,it rained."\n', ""),
        ('id,text\n2018,"He left in\n2019,\nafter the rain."\n', ""),
        ('id,text\n0,"Steps:\n1, wash\n2, dry"\n1,"Steps:\n1, wash\n2, dry"\n', ""),
        ('text,id\n"It rained for years, and in 2019, 1\nmore",2\n', ""),
        ('id,text,age\n1,"Cities of 1,000\n2,000 or more",30\n', ""),
        ('id,text,note\n1,"One, two,\n3, four",x\n', ""),
        ('text\n"1, 2\n3, 4"\n', ""),
    ],
)
def test_a_row_that_contains_parts_of_two_is_named(
    tmp_path: Path, content: str, found: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.csv"
    path.write_text(content)
    read(path)
    note = f"note: {path}:{found}: a quoted cell has lines like rows; a quote may be lost\n"
    assert capsys.readouterr().err == (note if found else "")


def test_an_unquoted_cell_with_a_quote_is_read_with_a_note(tmp_path: Path, capsys) -> None:
    path = tmp_path / "a.tsv"
    # A separator and the last quote are lost, of a text with a tab in it.
    path.write_text('id\ttext\tnote\n1"one\ttwo\tx\n2\t6"" nails\tx\n3\t"6"" nails"\tx\n')
    with pytest.raises(UserError, match=r"a\.tsv:3: a cell has some quotes of a quoted one"):
        read(path)
    path.write_text(path.read_text().replace('6"" nails\tx\n3', '6" nails\tx\n3'))
    assert read(path) == ["two", '6" nails', '6" nails']
    note = "an unquoted cell contains a quote; it may be joined with another one"
    assert capsys.readouterr().err == f"note: {path}:2: {note}\nnote: {path}:3: {note}\n"


def test_a_last_row_without_a_line_end_is_read_with_a_note(tmp_path: Path, capsys) -> None:
    path = tmp_path / "a.csv"
    path.write_text("id,text\n1,one\n2,tw")
    assert read(path) == ["one", "tw"]
    assert capsys.readouterr().err == (
        f"note: {path}: no line end after the last row, which may be cut\n"
    )


@pytest.mark.parametrize(
    "content",
    [
        b'{"text": "one"}\n',
        b"a" * 1_000_000,
        bytes(range(256)) * 1200,
        random.Random(0).randbytes(300_000),
    ],
    ids=["short", "one byte repeated", "several blocks", "not compressible"],
)
def test_frames_without_a_checksum_are_recognised(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.zst"
    checked, unchecked = zst(content, checksum=True), zst(content)
    skippable = (0x184D2A53).to_bytes(4, "little") + (5).to_bytes(4, "little") + b"12345"
    for parts, expected in [
        ([checked], True),
        ([unchecked], False),
        ([checked, skippable, checked], True),
        ([checked, unchecked], False),
    ]:
        path.write_bytes(b"".join(parts))
        with open_decompressed(path) as stream:
            assert stream.read() == content * sum(part is not skippable for part in parts)
        assert has_checksums(path) == expected


@pytest.mark.parametrize("checksums", [True, False])
@pytest.mark.parametrize("pages", ["1.0", "2.0"])
@pytest.mark.parametrize("dictionary", [True, False])
@pytest.mark.parametrize("size", [10, 300_000])
def test_checksums_of_parquet_pages_are_recognised(
    tmp_path: Path, checksums: bool, pages: str, dictionary: bool, size: int
) -> None:
    path, table = tmp_path / "a.parquet", pa.table({"n": [1, 2], "text": ["x" * size, "y"]})
    pq.write_table(
        table,
        path,
        data_page_version=pages,
        use_dictionary=dictionary,
        compression="none",
        write_page_checksum=checksums,
    )
    errors = InputErrors("stop")
    assert list(read_source(Source(files=str(path)), errors)) == table["text"].to_pylist()
    assert errors.notes == ({} if checksums else {NO_PAGE_CHECKSUM: (1, str(path))})


def test_a_file_without_checksums_is_named_on_the_terminal_and_in_the_card(
    tmp_path: Path, writer, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = [json.dumps({"text": text}).encode() for text in writer.documents(150, 60)]
    for name, checksum in [("a", True), ("b", False), ("c", False)]:
        (tmp_path / f"{name}.jsonl.zst").write_bytes(zst(b"\n".join(texts), checksum))
    law = {"sources": [{"files": str(tmp_path / "*.zst")}]}
    general = {"sources": [{"package": "bbc_news", "max_documents": 100}]}
    config = {"general": general, "domains": {"law": law}, "cleaning": {"benchmarks": []}}
    options = ["--config", json.dumps(config), "--out", str(tmp_path / "out")]
    assert main(["prepare_corpus", *options]) == 0
    (line,) = [
        part
        for part in capsys.readouterr().err.splitlines()
        if part.startswith("warning: domain law: /")
    ]
    assert line == f"warning: domain law: {tmp_path}/b.jsonl.zst and 1 more: {NO_CHECKSUM}"
    card = json.loads((tmp_path / "out/law/card.json").read_text())
    assert card["notes"] == {NO_CHECKSUM: {"number": 2, "first": f"{tmp_path}/b.jsonl.zst"}}
    assert "notes" not in json.loads((tmp_path / "out/general/card.json").read_text())


@pytest.mark.parametrize("limit", [{}, {"max_documents": 2}, {"max_bytes": 5}])
def test_a_file_without_checksums_is_noted_where_a_limit_ends_the_reading(
    tmp_path: Path, limit: dict[str, int], capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.jsonl.zst"
    path.write_bytes(zst(b'{"text": "one"}\n{"text": "two"}\n{"text": "three"}\n'))
    errors = InputErrors("stop")
    found = list(read_source(Source(files=str(path), **limit), errors))
    assert found == ["one", "two", "three"][: 2 if limit else 3]
    assert capsys.readouterr().err == f"note: {path}: {NO_CHECKSUM}\n"
    assert errors.notes == {NO_CHECKSUM: (1, str(path))}


def test_parquet_files_without_checksums_are_counted_and_printed_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in "ab":
        pq.write_table(pa.table({"text": [name]}), tmp_path / f"{name}.parquet")
    errors = InputErrors("stop")
    assert list(read_source(Source(files=f"{tmp_path}/*.parquet"), errors)) == ["a", "b"]
    assert capsys.readouterr().err == f"note: {tmp_path}/a.parquet: {NO_PAGE_CHECKSUM}\n"
    assert errors.notes == {NO_PAGE_CHECKSUM: (2, f"{tmp_path}/a.parquet")}


def test_a_parquet_file_whose_beginning_is_lost_is_refused(tmp_path: Path) -> None:
    sink, path = io.BytesIO(), tmp_path / "a.parquet"
    table = pa.table({"id": range(1000, 1005), "text": [f"text {k}" for k in range(5)]})
    pq.write_table(table, sink, compression="none", write_page_checksum=True)
    reasons = set()
    for begin in range(1, len(sink.getvalue())):
        path.write_bytes(sink.getvalue()[begin:])
        with pytest.raises(UserError, match=r"a\.parquet: ") as raised:
            read(path)
        reasons.add(str(raised.value).partition(": ")[2].partition(";")[0])
    assert "truncated or damaged (0 of 5 rows)" in reasons


def test_an_error_in_a_file_without_checksums_is_the_only_message(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.jsonl.zst").write_bytes(zst(b'{"text": "one"}\n{"text": 2}\n'))
    with pytest.raises(UserError, match=r"a\.jsonl\.zst:2: field 'text' is not text"):
        read(tmp_path / "a.jsonl.zst")
    assert capsys.readouterr().err == ""


def test_batches_of_a_saved_data_set_are_not_lost_without_a_message(tmp_path: Path, capsys) -> None:
    Dataset.from_dict({"text": ["one", "two"]}).save_to_disk(tmp_path / "saved")
    (file,) = (tmp_path / "saved").glob("*.arrow")
    data, source = file.read_bytes(), Source(dataset=str(tmp_path / "saved"))
    assert list(read_source(source, InputErrors("stop"))) == ["one", "two"]
    assert capsys.readouterr().err.startswith(f"note: {file}: no checksums, as in all Arrow files")
    file.write_bytes(data[:-8])  # without its end mark
    assert list(read_source(source, InputErrors("stop"))) == ["one", "two"]
    assert f"{file}: no end mark after the last batch" in capsys.readouterr().err
    schema = data.index(b"\xff\xff\xff\xff", 4)  # the second message is the batch
    file.write_bytes(data[:schema] + data[-8:] + data[schema:])
    with pytest.raises(UserError, match=r"arrow: bytes after its end mark"):
        list(read_source(source, InputErrors("stop")))


def test_a_damaged_saved_data_set_is_refused_before_it_ends_the_process(tmp_path: Path) -> None:
    Dataset.from_dict({"text": ["one", "two and three"]}).save_to_disk(tmp_path / "saved")
    (file,) = (tmp_path / "saved").glob("*.arrow")
    data = file.read_bytes()
    at = data.index(bytes([0, 0, 0, 0, 3, 0, 0, 0, 16, 0, 0, 0]))  # where the texts begin
    file.write_bytes(data[: at + 8] + b"\xff\xff\xff\x7f" + data[at + 12 :])
    with pytest.raises(
        UserError, match=r"\.arrow: truncated or damaged \(.*\); save the data set again"
    ):
        list(read_source(Source(dataset=str(tmp_path / "saved")), InputErrors("stop")))
