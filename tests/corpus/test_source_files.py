import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from splitlaw.common.errors import UserError
from splitlaw.corpus.sources import formats, json_files
from splitlaw.corpus.sources.files import read_files
from splitlaw.corpus.sources.input_errors import InputErrors
from splitlaw.corpus.sources.reading import read_source
from splitlaw.experiment.source_settings import Source

TEXTS = ["plain words", 'quotes " and, commas', "two\nlines", "dürüst 深層 🧪"]


def compress(path: Path, kind: str) -> Path:
    data = path.read_bytes()
    target = path.with_name(path.name + kind)
    if kind == ".gz":
        target.write_bytes(gzip.compress(data, mtime=0))
    else:
        with pa.CompressedOutputStream(str(target), "zstd") as stream:
            stream.write(data)
    return target


def write(folder: Path, suffix: str, texts: list[str]) -> Path:
    path = folder / f"file{suffix}"
    if suffix == ".jsonl":
        path.write_text("\n".join(json.dumps({"text": t}) for t in texts), encoding="utf-8")
    elif suffix == ".json":
        path.write_text(json.dumps([{"text": t} for t in texts], indent=1), encoding="utf-8")
    elif suffix == ".csv":
        quoted = ['"' + t.replace('"', '""') + '"' for t in texts]
        path.write_text("n,text\n" + "".join(f"1,{q}\n" for q in quoted), encoding="utf-8")
    else:
        pq.write_table(pa.table({"n": list(range(len(texts))), "text": texts}), path)
    return path


def texts_of(pattern: object, on_bad_input: str = "stop") -> list[str]:
    return [text for _, text in read_files(str(pattern), "text", InputErrors(on_bad_input))]


@pytest.mark.parametrize("kind", ["", ".gz", ".zst"])
@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".csv", ".parquet"])
def test_every_format_is_read(tmp_path: Path, suffix: str, kind: str) -> None:
    path = write(tmp_path, suffix, TEXTS)
    assert texts_of(compress(path, kind) if kind else path) == TEXTS


@pytest.mark.parametrize("kind", ["", ".gz", ".zst"])
def test_a_text_file_is_a_document(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "one.txt"
    path.write_text(TEXTS[3], encoding="utf-8")
    assert texts_of(compress(path, kind) if kind else path) == [TEXTS[3]]


def test_a_folder_is_a_document(tmp_path: Path) -> None:
    for book in ("a", "b"):
        (tmp_path / book).mkdir()
        for chapter in ("2", "1"):
            (tmp_path / book / f"{chapter}.txt").write_text(f"{book}{chapter}")
    assert texts_of(tmp_path / "*") == ["a1\n\na2", "b1\n\nb2"]


def test_json_file_with_a_single_object(tmp_path: Path) -> None:
    path = tmp_path / "one.json"
    path.write_text('{"text": "alone"}')
    assert texts_of(path) == ["alone"]


def test_long_json_list_is_read_in_chunks(tmp_path: Path) -> None:
    texts = [f"{i} " + "x" * 100_000 for i in range(40)]
    assert texts_of(write(tmp_path, ".json", texts)) == texts


def truncated(folder: Path, kind: str) -> Path:
    lines = "".join(json.dumps({"text": f"{i} {i * i} {i**3}"}) + "\n" for i in range(20_000))
    path = folder / "cut.jsonl"
    path.write_text(lines)
    path = compress(path, kind)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


@pytest.mark.parametrize("kind", [".gz", ".zst"])
def test_truncated_compressed_file_is_reported_or_skipped(tmp_path: Path, kind: str) -> None:
    path = truncated(tmp_path, kind)
    with pytest.raises(UserError, match=r"cut\.jsonl\.\w+: truncated or damaged"):
        texts_of(path)
    assert len(texts_of(path, "skip")) > 1000


LINES = {
    b'{"text": "caf\xe9"}': "invalid UTF-8",
    b"[1, 2]": "not a JSON object",
    b'{"text": "broken': "not JSON",
    b'{"body": "x"}': "no field 'text' (it has body)",
    b'{"text": 3}': "field 'text' is not text (int)",
    b'{"text": null}': "field 'text' is not text (NoneType)",
}


@pytest.mark.parametrize("line", LINES)
def test_bad_line_is_reported_with_its_number(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_bytes(b'{"text": "first"}\n\n' + line + b'\n{"text": "last"}\n')
    with pytest.raises(UserError) as raised:
        texts_of(path)
    assert f"{path}:3: {LINES[line]}" in str(raised.value)
    assert "on_bad_input" in str(raised.value)
    errors = InputErrors("skip")
    assert [t for _, t in read_files(str(path), "text", errors)] == ["first", "last"]
    assert errors.counts.total() == 1


def test_too_large_document_is_skipped_without_reading_it_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_files, "MAX_DOCUMENT_BYTES", 1 << 16)
    path = tmp_path / "long.jsonl"
    path.write_text('{"text": "' + "x" * 300_000 + '"}\n{"text": "after"}\n')
    assert texts_of(path, "skip") == ["after"]
    with pytest.raises(UserError, match=r"long\.jsonl:1: document over"):
        texts_of(path)


@pytest.mark.parametrize("unit", ["one paragraph\n\n", "a line\n", "word ", "深"])
def test_text_file_over_the_limit_is_read_in_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unit: str
) -> None:
    # https://github.com/huggingface/transformers/issues/452
    monkeypatch.setattr(formats, "MAX_DOCUMENT_BYTES", 1 << 16)
    text = unit * (300_000 // len(unit))
    (tmp_path / "long.txt").write_text(text)
    parts = texts_of(tmp_path / "long.txt")
    assert "".join(parts) == text
    assert len(parts) > 4
    if "\n" in unit:
        assert all(part.endswith(unit) for part in parts)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", b'[{"text": "x"},\n {"text": "y', r"a\.json:2: not JSON"),
        ("a.json", b'[{"text": "x"},\n', r"a\.json:2: not JSON"),
        ("a.json", b'[{"text": "x"},\n"y"]', r"a\.json:2: not a JSON object"),
        ("a.json", b'[{"text": "x"},\n{"text": "caf\xe9"}]', r"a\.json:\d: invalid UTF-8"),
        ("a.csv", b"a,b\n1,2\n", r"a\.csv:1: no column 'text' \(it has a, b\)"),
        ("a.csv", b"text\nx\ncaf\xe9\n", r"a\.csv:3: invalid UTF-8"),
        ("a.txt", b"\xff\xfe", r"a\.txt: invalid UTF-8"),
        ("a.parquet", b"PAR1 not", r"a\.parquet: truncated or damaged"),
        ("a.doc", b"x", r"a\.doc: unknown format"),
    ],
)
def test_other_damage_is_reported(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message):
        texts_of(tmp_path / name)
    (tmp_path / "good.txt").write_text("a good one")
    errors = InputErrors("skip")
    left = [text for _, text in read_files(str(tmp_path / "*"), "text", errors)]
    assert "a good one" in left
    assert errors.counts.total() == 1


def write_long(folder: Path, suffix: str, size: int) -> Path:
    """Write a document of `size` characters, between two others if the format has several."""
    path, long = folder / f"long{suffix}", "words " * (size // 6)
    if suffix == ".jsonl":
        path.write_text("".join(json.dumps({"text": t}) + "\n" for t in ("first", long, "last")))
    elif suffix == ".json":
        path.write_text(json.dumps([{"text": text} for text in ("first", long, "last")]))
    elif suffix == ".csv":
        path.write_text(f"text\nfirst\n{long}\nlast\n")
    elif suffix == ".parquet":
        pq.write_table(pa.table({"text": ["first", long, "last"]}), path)
    else:
        path.mkdir()
        for part in range(4):
            (path / f"{part}.txt").write_text(long[: size // 4])
    return path


@pytest.mark.parametrize(
    ("suffix", "where", "left"),
    [
        (".jsonl", "long.jsonl:2", ["first", "last"]),
        (".json", "long.json:1", ["first"]),
        (".csv", "long.csv:3", ["first"]),
        (".parquet", "long.parquet: row 2", ["first", "last"]),
        ("", "long", []),
    ],
)
def test_document_of_200_mb_is_reported(
    tmp_path: Path, suffix: str, where: str, left: list[str]
) -> None:
    path = write_long(tmp_path, suffix, 200_000_000)
    source = Source(files=str(path))
    with pytest.raises(UserError) as raised:
        list(read_source(source, InputErrors("stop")))
    assert str(raised.value).startswith(f"{tmp_path / where}: document over 64 MB")
    errors = InputErrors("skip")
    assert list(read_source(source, errors)) == left
    assert [reason[:19] for reason in errors.counts] == ["document over 64 MB"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl", b""),
        ("a.jsonl", b"\n \n"),
        ("a.json", b"[]"),
        ("a.csv", b""),
        ("a.csv", b"id,text\n"),
        ("a.txt", b""),
        ("a.jsonl.gz", b""),
        ("a.jsonl.gz", gzip.compress(b"", mtime=0)),
        ("a.parquet", pa.table({"text": pa.nulls(0)})),
        ("a.parquet", pa.table({})),
    ],
)
def test_empty_shard_is_counted_and_stops_nothing(
    tmp_path: Path, name: str, content: bytes | pa.Table
) -> None:
    # https://github.com/ray-project/ray/issues/47198
    if isinstance(content, bytes):
        (tmp_path / name).write_bytes(content)
    else:
        pq.write_table(content, tmp_path / name)
    (tmp_path / "b.txt").write_text("a good one")
    errors = InputErrors("stop")
    left = [text for _, text in read_files(str(tmp_path / "*"), "text", errors)]
    assert left == ["a good one"]
    assert errors.counts == {"empty file": 1}


@pytest.mark.parametrize(
    "column",
    [
        pa.array([*TEXTS, None]).dictionary_encode(),
        pa.array([*TEXTS, None], pa.string_view()),
        pa.array([*TEXTS, None], pa.large_string()),
        pa.array([text.encode() for text in TEXTS] + [None], pa.binary()),
        pa.array([text.encode() for text in TEXTS] + [None], pa.large_binary()),
        pa.array([text.encode() for text in TEXTS] + [None], pa.binary_view()),
    ],
    ids=lambda column: str(column.type),
)
def test_parquet_text_of_every_type(tmp_path: Path, column: pa.Array) -> None:
    # https://github.com/apache/arrow/issues/1688
    pq.write_table(pa.table({"text": column, "text_2": column}), tmp_path / "a.parquet")
    assert texts_of(tmp_path / "a.parquet", "skip") == TEXTS
    with pytest.raises(UserError, match=r"a\.parquet: row 5: no field 'text' \(null\)"):
        texts_of(tmp_path / "a.parquet")


def test_binary_that_is_not_utf8_is_reported_with_its_row(tmp_path: Path) -> None:
    column = pa.array([b"first", b"caf\xe9", b"last"], pa.binary())
    pq.write_table(pa.table({"text": column}), tmp_path / "a.parquet")
    with pytest.raises(UserError, match=r"row 2: invalid UTF-8"):
        texts_of(tmp_path / "a.parquet")
    assert texts_of(tmp_path / "a.parquet", "skip") == ["first", "last"]


def test_only_the_text_column_of_files_matters(tmp_path: Path) -> None:
    # https://github.com/huggingface/datasets/issues/7169
    (tmp_path / "a.jsonl").write_text('{"text": "one", "id": 1}\n')
    (tmp_path / "b.jsonl").write_text('{"text": "two", "id": "2", "source": {"url": null}}\n')
    pq.write_table(pa.table({"id": [3], "text": ["three"]}), tmp_path / "c.parquet")
    pq.write_table(pa.table({"text": ["four"], "id": [[4]]}), tmp_path / "d.parquet")
    assert texts_of(tmp_path / "*") == ["one", "two", "three", "four"]


def test_suffixes_are_compared_without_case(tmp_path: Path) -> None:
    # https://github.com/zylon-ai/private-gpt/issues/374
    (tmp_path / "A.TXT").write_text("one")
    (tmp_path / "b.Jsonl").write_text('{"text": "two"}')
    (tmp_path / "c.ndjson").write_text('{"text": "three"}')
    (tmp_path / "d.MD").write_text("four")
    (tmp_path / "e.JSONL.GZ").write_bytes(gzip.compress(b'{"text": "five"}'))
    pq.write_table(pa.table({"text": ["six"]}), tmp_path / "f.PARQUET")
    assert texts_of(tmp_path / "*") == ["one", "two", "three", "four", "five", "six"]
    assert texts_of(tmp_path / "*.txt") == ["one"]
    assert texts_of(tmp_path / "?.jsonl") == ["two"]
    assert texts_of(tmp_path / "*.Jsonl.gz") == ["five"]
    (tmp_path / "a.txt").write_text("another")
    assert texts_of(tmp_path / "A.TXT") == ["one"]  # a name without a wildcard is one file


def test_parquet_without_the_column_or_without_text(tmp_path: Path) -> None:
    pq.write_table(pa.table({"body": ["x"]}), tmp_path / "a.parquet")
    with pytest.raises(UserError, match=r"no column 'text' \(it has body\)"):
        texts_of(tmp_path / "a.parquet")
    assert texts_of(tmp_path / "a.parquet", "skip") == []
    pq.write_table(pa.table({"text": [1]}), tmp_path / "a.parquet")
    with pytest.raises(UserError, match="is not text"):
        texts_of(tmp_path / "a.parquet")
    assert texts_of(tmp_path / "a.parquet", "skip") == []
    pq.write_table(pa.table({"text": ["x", None, "y"]}), tmp_path / "a.parquet")
    assert texts_of(tmp_path / "a.parquet", "skip") == ["x", "y"]


def test_pattern_without_matches_is_reported(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="matches no file"):
        texts_of(tmp_path / "*.jsonl")
    errors = InputErrors("skip")
    assert not list(read_files(str(tmp_path / "*.jsonl"), "text", errors))
    assert errors.counts == {"matches no file": 1}
