"""Inputs that users of similar tools have reported; each was tried before it became a test."""

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pytest

from splitlaw.common.errors import UserError
from splitlaw.corpus.sources.input_errors import InputErrors
from splitlaw.corpus.sources.reading import read_source
from splitlaw.experiment.source_settings import Source
from splitlaw.stages.text_folder import find_domains

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n"


def read(on_bad_input: str = "stop", **source: object) -> list[str]:
    return list(read_source(Source(**source), InputErrors(on_bad_input)))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl", '{"text": "one"}\n{"text": "two"}\n'),
        ("a.json", '[{"text": "one"}, {"text": "two"}]'),
        ("a.csv", "text,id\none,1\ntwo,2\n"),
        ("a.tsv", "text\tid\none\t1\ntwo\t2\n"),
    ],
)
def test_a_byte_order_mark_changes_nothing(tmp_path: Path, name: str, content: str) -> None:
    """Datasets issue 8241, pandas issues 4793 and 15280."""
    (tmp_path / name).write_text(content, encoding="utf-8-sig")
    assert read(files=str(tmp_path / name)) == ["one", "two"]


def test_a_null_in_one_of_many_lines_is_named(tmp_path: Path) -> None:
    """Datasets issue 7222: the result depended on which type came first."""
    lines = ['{"text": null, "a": 1}', '{"text": "one", "a": {"b": []}}', '{"text": "two"}']
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    with pytest.raises(UserError, match=r"a\.jsonl:1: field 'text' is not text \(NoneType\)"):
        read(files=str(tmp_path / "a.jsonl"))
    assert read("skip", files=str(tmp_path / "a.jsonl")) == ["one", "two"]


def test_a_list_of_texts_is_read(tmp_path: Path) -> None:
    """Datasets issue 6695: JSON with an array of strings, which becomes the column `text`."""
    path, texts = tmp_path / "a.json", ["one", 'two, "2"', "three\n]"] * 3
    path.write_text(json.dumps(texts, indent=1))
    assert read(files=str(path)) == texts
    for content, problem in [
        ('["one", {"text": "two"}]', "1: not a text, unlike the first element"),
        ('[{"text": "one"}, "two"]', "1: not a JSON object"),
        ('["one", "two"', "1: not JSON"),
        ('["text": "one"]', "1: not JSON"),
        ('"one"', "1: not JSON"),
    ]:
        path.write_text(content)
        with pytest.raises(UserError, match=rf"a\.json:{problem}"):
            read(files=str(path))
    path.write_text('["text": "one"]')
    assert read("skip", files=str(path)) == []
    path.write_text(json.dumps(texts))
    with pytest.raises(UserError, match=r"a\.json:1: not a JSON object \(str\)"):
        read(files=str(path), text_field="body")


@pytest.mark.parametrize(
    ("name", "sign", "word"),
    [("a.csv", ";", "semicolons"), ("a.csv", "\t", "tabs"), ("a.tsv", ",", "commas")],
)
def test_another_separator_is_named(tmp_path: Path, name: str, sign: str, word: str) -> None:
    """Dify pull request 42354: every row became one text, with the whole header as its name."""
    (tmp_path / name).write_text(f"id{sign}text\n1{sign}one\n")
    with pytest.raises(UserError, match=rf"{name}:1: cells are separated by {word}; save it"):
        read(files=str(tmp_path / name))
    (tmp_path / "b.csv").write_text("id;text\n1;one\n")  # a name of a column
    assert read(files=str(tmp_path / "b.csv"), text_field="id;text") == ["1;one"]


def test_an_empty_line_between_rows_is_named(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """Our own case: of a row that was lost, the end of its line was left."""
    path = tmp_path / "a.csv"
    path.write_text("id,text\n1,one\n\n3,three\n")
    assert read(files=str(path)) == ["one", "three"]
    assert f"note: {path}:3: empty lines before some rows" in capsys.readouterr().err
    path.write_text("id,text\n\n2,two\n3,three\n")
    assert read(files=str(path)) == ["two", "three"]
    assert f"note: {path}:2: empty lines before some rows" in capsys.readouterr().err
    # Python's csv writes one before every row where a file was opened without newline="".
    for usual in ("id,text\n\n1,one\n\n3,three\n\n", "\nid,text\n1,one\n3,three\n\n\n"):
        path.write_text(usual)
        assert read(files=str(path)) == ["one", "three"]
        assert capsys.readouterr().err == ""


def test_json_lines_in_a_file_named_json_are_read(tmp_path: Path) -> None:
    """Dolma issue 225 and OLMo issue 790: `data.json.gz` holds JSON lines."""
    path = tmp_path / "data.json.gz"
    path.write_bytes(gzip.compress(b'{"id": "1", "text": "one"}\n{"id": "2", "text": "two"}\n'))
    assert read(files=str(path)) == ["one", "two"]


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl"])
def test_texts_that_other_libraries_take_for_missing_are_kept(tmp_path: Path, name: str) -> None:
    """Datasets issue 4467: the text `null` became None."""
    texts = ["null", "NA", "None", "nan", "", "1e3", "007", "true"]
    sign = "\t" if name.endswith("tsv") else ","
    rows = [json.dumps({"text": text}) for text in texts]
    if not name.endswith("jsonl"):
        rows = [f"id{sign}text"]
        rows += [f"1{sign}{text}" for text in texts]
    (tmp_path / name).write_text("".join(f"{row}\n" for row in rows))
    assert read(files=str(tmp_path / name)) == texts


@pytest.mark.parametrize("separator", ["\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\x0b", "\x0c"])
def test_control_characters_do_not_end_a_row(tmp_path: Path, separator: str) -> None:
    """Pandas issue 26271: rows were cut in two at characters that Python takes for newlines."""
    (tmp_path / "a.csv").write_text(f"id,text\n1,de{separator}fg\n2,after\n", encoding="utf-8")
    assert read(files=str(tmp_path / "a.csv")) == [f"de{separator}fg", "after"]
    line = f'{{"text": "de{separator}fg"}}\n' if separator > "\x1f" else '{"text": "de fg"}\n'
    (tmp_path / "a.jsonl").write_text(line, encoding="utf-8")
    assert len(read(files=str(tmp_path / "a.jsonl"))) == 1


@pytest.fixture
def linked(tmp_path: Path) -> Path:
    """A folder with a file, and a link to a folder with another one."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/b.txt").write_text("in the linked folder")
    (tmp_path / "text/law").mkdir(parents=True)
    (tmp_path / "text/law/a.txt").write_text("in the folder")
    (tmp_path / "text/law/more").symlink_to(tmp_path / "elsewhere")
    return tmp_path / "text/law"


def test_linked_folders_are_followed_everywhere(linked: Path) -> None:
    """Datasets issue 6764: the files in them were left out without a message."""
    both = ["in the folder", "in the linked folder"]
    assert read(files=f"{linked}/**/*.txt") == both
    assert read(files=str(linked)) == ["\n\n".join(both)]
    (domain,) = find_domains(linked.parent)
    assert domain.files == 2
    assert read(files=domain.patterns[0]) == both
    with pytest.raises(UserError, match="more is a link to a folder, which `datasets` does not f"):
        read(dataset=str(linked))


def test_hidden_files_are_left_out_and_hidden_folders_may_be_named(tmp_path: Path) -> None:
    """Datasets issue 6073; `.DS_Store` and `._a.txt` are written by macOS."""
    folder = tmp_path / ".cache/set"
    folder.mkdir(parents=True)
    (folder / "a.txt").write_text("text")
    (folder / ".DS_Store").write_bytes(b"\0\1")
    (folder / "._a.txt").write_bytes(b"\0\5\x16\7")
    for source in ({"files": f"{folder}/*.txt"}, {"files": str(folder)}, {"dataset": str(folder)}):
        assert read(**source) == ["text"]
    (domain,) = find_domains(folder)
    assert domain.files == 1


def test_hidden_folders_of_data_sets_are_left_out(tmp_path: Path) -> None:
    """Datasets issue 6073, for Arrow files and links too: all formats have one rule."""
    hidden = tmp_path / "set/.ipynb_checkpoints/more"
    hidden.mkdir(parents=True)
    (hidden / "b.arrow").write_bytes(b"a copy that was cut")
    (hidden / "link").symlink_to(tmp_path)
    table = pa.table({"text": ["one", "two"]})
    with pa.ipc.new_stream(tmp_path / "set/a.arrow", table.schema) as writer:
        writer.write_table(table)
    assert read(dataset=str(tmp_path / "set")) == ["one", "two"]
    (tmp_path / "set/a.arrow").unlink()
    (tmp_path / "set/a.jsonl").write_text('{"text": "three"}\n')
    assert read(dataset=str(tmp_path / "set")) == ["three"]


@pytest.mark.parametrize("name", ["a.txt", "a.md", "a.jsonl", "a.parquet", "a.csv", "a.jsonl.gz"])
def test_pointers_of_git_lfs_are_not_text(tmp_path: Path, name: str) -> None:
    """Git LFS issue 3598: the lines of pointers were read as data, after a clone without it."""
    (tmp_path / name).write_text(POINTER)
    with pytest.raises(UserError, match=f"{name}: is a pointer of Git LFS, not the file; run git"):
        read(files=str(tmp_path / name))


@pytest.mark.parametrize(
    "data", [gzip.compress(b"text", mtime=0), b"\x28\xb5\x2f\xfd\x04\x00"], ids=["gzip", "zstd"]
)
def test_a_compressed_file_without_its_suffix_is_named(tmp_path: Path, data: bytes) -> None:
    """Datasets issue 6908: a file of a cache, whose name has no suffix, was read as UTF-8."""
    (tmp_path / "a.txt").write_bytes(data)
    with pytest.raises(UserError, match=r"a\.txt: is compressed; add \.(gz|zst) to its name"):
        read(files=str(tmp_path / "a.txt"), encoding="auto")


def test_other_formats_are_named_with_the_known_ones(tmp_path: Path) -> None:
    """Datasets issue 6460: files named `.jsonlines`."""
    (tmp_path / "a.jsonlines").write_text('{"text": "a"}\n')
    with pytest.raises(UserError, match=r"a\.jsonlines: unknown format; use \.jsonl, "):
        read(files=str(tmp_path / "a.jsonlines"))


def test_a_broken_link_is_named(tmp_path: Path) -> None:
    """Our own case."""
    (tmp_path / "a.txt").symlink_to(tmp_path / "gone")
    with pytest.raises(UserError, match=r"a\.txt: .*No such file"):
        read(files=str(tmp_path / "*.txt"))
