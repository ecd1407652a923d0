"""Tokenised files that cannot be read: each is one line, before other sources where it can be."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from token_writers import TEXTS, flat, read, write_megatron

from splitlaw.cli import main
from splitlaw.common.errors import UserError
from splitlaw.corpus.sources import token_arrays
from splitlaw.corpus.sources.input_errors import InputErrors
from splitlaw.corpus.sources.reading import read_source
from splitlaw.experiment.source_settings import Source


def damaged(tmp_path: Path, ids: list[list[int]], damage: str) -> Path:
    """A file with one kind of damage."""
    path = tmp_path / "a.bin"
    if damage == "pointer":
        path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2\n")
        return path
    if damage == "name":
        flat(ids).tofile(tmp_path / "a.csv.gz")
        return tmp_path / "a.csv.gz"
    if damage in ("vocabulary", "odd", "end", "wide"):
        kind = "<u4" if damage == "wide" else "<u2"
        flat([*ids[:2], [700, 5] if damage == "vocabulary" else [5]], kind).tofile(path)
        if damage == "end":
            np.array(ids[0], "<u2").tofile(path)
        if damage == "odd":
            path.write_bytes(path.read_bytes() + b"x")
        return path
    if damage in ("floats", "table"):
        content = np.ones(4, np.float32) if damage == "floats" else np.ones((2, 3), np.uint16)
        np.save(tmp_path / "a.npy", content)
        return tmp_path / "a.npy"
    write_megatron(path, ids)
    index = path.with_suffix(".idx")
    changes = {
        "index": lambda data: data[:-9],
        "header": lambda data: data[:20],
        "magic": lambda data: b"TNTIDX\0\0\0" + data[9:],
        "type": lambda data: data[:17] + b"\7" + data[18:],
        "place": lambda data: data[: 34 + 4 * len(ids)] + b"\1" + data[35 + 4 * len(ids) :],
        "bounds": lambda data: data[:-8] + b"\1" + bytes(7),
    }
    if damage in changes:
        index.write_bytes(changes[damage](index.read_bytes()))
    else:
        path.write_bytes(path.read_bytes()[:-40] if damage == "tokens" else b"")
    return path


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        # OLMo-core pull request 619: it was a failed assertion on the GPU
        ("vocabulary", r"a\.bin: document 3: id outside the vocabulary \(700, and .* 400 ids\)"),
        ("odd", r"a\.bin: not a whole number of uint16 ids \(\d+ bytes\)"),
        ("end", r"a\.bin: no end of text \(0, in \d+ ids\); set end_of_text"),
        # Our own case: each id is a document, because 0 is the end of text.
        ("wide", r"a\.bin: every second uint16 is 0, as in wider ids; set token_type to uint32"),
        ("pointer", r"a\.bin: is a pointer of Git LFS"),
        ("name", r"a\.csv\.gz: no token file by its name; match files such as \*\.bin"),
        ("floats", r"a\.npy: not a list of integers \(float32 \[4\]\)"),
        ("table", r"a\.npy: not a list of integers \(uint16 \[2, 3\]\)"),
        ("index", r"a\.idx: truncated index \(\d+ bytes instead of \d+\)"),
        ("header", r"a\.idx: truncated index \(20 bytes instead of \d+\)"),
        ("magic", r"a\.idx: not an index of Megatron"),
        ("type", r"a\.idx: ids are no integers \(type 7\)"),
        ("place", r"a\.idx: damaged index \(a length or position"),
        ("bounds", r"a\.idx: damaged index \(bounds of documents"),
        ("tokens", r"a\.bin: shorter than its index a\.idx says; copy both again"),
        ("no tokens", r"a\.bin: shorter than its index a\.idx says; copy both again"),
    ],
)
def test_damaged_files_are_one_line(
    tmp_path, bpe, ids, damage, message, monkeypatch, capsys
) -> None:
    if damage == "end":
        monkeypatch.setattr(token_arrays, "MAX_DOCUMENT_BYTES", 10)
    path = damaged(tmp_path, ids, damage)
    with pytest.raises(UserError, match=message):
        read(path, bpe)
    assert len(read(path, bpe, "skip")) < len(TEXTS)
    assert capsys.readouterr().err.count("skipped: ") == 1


def test_skipped_documents_are_counted_for_one_reason(tmp_path, bpe, ids):
    flat([ids[0], [700], [701, 5], ids[1]]).tofile(tmp_path / "a.bin")
    errors = InputErrors("skip")
    source = Source(token_files=str(tmp_path / "a.bin"), tokenizer=str(bpe))
    assert list(read_source(source, errors)) == TEXTS[:2]
    assert errors.counts == {"id outside the vocabulary": 2}


def test_a_file_without_an_end_of_text_is_noted(tmp_path, bpe, ids, capsys):
    flat(ids).tofile(tmp_path / "a.bin")
    unused = next(number for number in range(400) if number not in flat(ids))
    (text,) = read(tmp_path / "a.bin", bpe, end_of_text=unused)
    assert text.startswith(TEXTS[0])
    assert "a.bin: no end of text, so that the file is one document" in capsys.readouterr().err


def test_a_tokenizer_is_refused_before_other_sources_are_read(tmp_path, bpe, ids, capsys):
    flat(ids).tofile(tmp_path / "a.bin")
    own = {"token_files": str(tmp_path / "a.bin"), "tokenizer": str(tmp_path / "own")}
    first = {
        "token_files": str(tmp_path / "*.bin"),
        "tokenizer": str(bpe),
        "end_of_text": 0,
    }
    config = {"general": {"sources": [first, own]}, "domains": {"discover": 2}}
    words = ["--config", json.dumps(config), "--out", str(tmp_path / "out")]
    for content, message in [
        ("{}", "has no eos_token; set end_of_text of the source"),
        (
            '{"auto_map": {"AutoTokenizer": ["my.Own", null]}}',
            "cannot be opened (requires code of its own, which is never run); give the path",
        ),
    ]:
        (tmp_path / "own").mkdir(exist_ok=True)
        shutil.copy(bpe / "tokenizer.json", tmp_path / "own")
        (tmp_path / "own/tokenizer_config.json").write_text(content)
        assert main(["prepare_corpus", *words]) == 2
        error = capsys.readouterr().err
        assert error.startswith(f"error: tokenizer {tmp_path}/own: {message}")
        assert error.count("\n") == 1


def test_a_missing_tokenizer_is_one_line(tmp_path, capsys):
    (tmp_path / "a.bin").write_bytes(b"\1\0\2\0")
    with pytest.raises(UserError, match=r"^tokenizer /nowhere: .*; give a folder with"):
        read(tmp_path / "a.bin", Path("/nowhere"))
    config = {"general": {"sources": [{"token_files": "*.bin"}]}, "domains": {"discover": 2}}
    words = ["--config", json.dumps(config), "--out", str(tmp_path / "out")]
    assert main(["prepare_corpus", *words]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "token_files *.bin has no tokenizer; give the folder or the name" in error
