"""Damaged files of every format are refused in one line, or read rightly."""

import io
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from damages import FORMATS, campaign
from datasets import Dataset

from splitlaw.common.errors import UserError
from splitlaw.corpus.sources.input_errors import InputErrors
from splitlaw.corpus.sources.reading import read_source
from splitlaw.experiment.corpus_settings import Source

COUNT = 60
"""Damages of each format, in a second or less; `make campaign` tries 2,000."""


@pytest.mark.parametrize("name", [name for name in FORMATS if name != "arrow"])
def test_no_damage_changes_texts_without_a_message(name: str) -> None:
    rows = campaign(name, COUNT, seed=1)
    faults = rows[rows["outcome"].str.startswith("fault")]
    assert faults.empty, faults.iloc[0].to_dict()
    assert (rows["outcome"] == "refused").sum() > COUNT / 3
    assert (rows["outcome"] != "refused").any()


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


def test_a_last_row_without_a_line_end_is_read_with_a_note(tmp_path: Path, capsys) -> None:
    path = tmp_path / "a.csv"
    path.write_text("id,text\n1,one\n2,tw")
    assert read(path) == ["one", "tw"]
    assert capsys.readouterr().err == (
        f"note: {path}: has no line end after its last row, which may be cut\n"
    )


def test_a_damaged_saved_data_set_is_refused_before_it_ends_the_process(tmp_path: Path) -> None:
    Dataset.from_dict({"text": ["one", "two and three"]}).save_to_disk(tmp_path / "saved")
    (file,) = (tmp_path / "saved").glob("*.arrow")
    data = file.read_bytes()
    at = data.index(bytes([0, 0, 0, 0, 3, 0, 0, 0, 16, 0, 0, 0]))  # where the texts begin
    file.write_bytes(data[: at + 8] + b"\xff\xff\xff\x7f" + data[at + 12 :])
    with pytest.raises(UserError, match=r"dataset .*saved: "):
        list(read_source(Source(dataset=str(tmp_path / "saved")), InputErrors("stop")))
