"""Tokenised files: their documents are decoded, and a file that cannot be read is one line."""

import json
import struct
from collections.abc import Callable
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer

from splitlaw.cli import main
from splitlaw.common.errors import UserError
from splitlaw.corpus.documents import read_documents
from splitlaw.corpus.sources import token_arrays
from splitlaw.corpus.sources.availability import check_sources_exist, files_digest
from splitlaw.corpus.sources.input_errors import InputErrors
from splitlaw.corpus.sources.reading import read_source
from splitlaw.experiment.corpus_settings import CorpusConfig, Source
from splitlaw.tokens import open_tokens
from splitlaw.tokens.tokenizer import save_tokenizer, train_bpe

TEXTS = [
    "the quick brown fox jumps over the lazy dog, again and again",
    "naïve façade — 深層学習 🧪 and the end <|endoftext|> of text\n",
    *(f"number {i} of the documents has {i * i} in it, and {i**3} too" for i in range(30)),
]
MEGATRON = Path(__file__).parent / "megatron"
"""Files that `IndexedDatasetBuilder` of megatron-core 0.16.1 wrote of `TEXTS`, encoded by the
tokenizer beside them: each text is a document of one sequence, or of two in `sequences`."""
END = 0
"""Id of the end of text."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tokenizer of 400 ids, which encodes any text."""
    out = tmp_path_factory.mktemp("tokenizer")
    save_tokenizer(train_bpe(iter(TEXTS), 400), out)
    return out


@pytest.fixture(scope="module")
def ids(folder: Path) -> list[list[int]]:
    """The ids of every text, in which the name of the end of text is ordinary text."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.encode_special_tokens = True
    return [encoding.ids for encoding in tokenizer.encode_batch(TEXTS, add_special_tokens=False)]


def read(pattern: Path, folder: Path, on_bad_input: str = "stop", **source: object) -> list[str]:
    described = Source(token_files=str(pattern), tokenizer=str(folder), **source)  # type: ignore[arg-type]
    return list(read_source(described, InputErrors(on_bad_input)))


def write_megatron(path: Path, documents: list[list[int]]) -> Path:
    """Write documents of one sequence each in Megatron's layout, with uint16 ids."""
    lengths = np.array([len(document) for document in documents])
    np.array(list(chain.from_iterable(documents)), "<u2").tofile(path)
    arrays = [lengths.astype("<i4"), (2 * (np.cumsum(lengths) - lengths)).astype("<i8")]
    arrays.append(np.arange(len(documents) + 1, dtype="<i8"))
    header = struct.pack("<9sQBQQ", b"MMIDIDX\0\0", 1, 8, len(documents), len(documents) + 1)
    index = header + b"".join(array.tobytes() for array in arrays)
    path.with_suffix(".idx").write_bytes(index)
    return path


def flat(documents: list[list[int]], kind: str = "<u2", *, before: bool = False) -> np.ndarray:
    """All ids, with an end of text before or after each document."""
    parts = [[END, *ids] if before else [*ids, END] for ids in documents]
    return np.array(list(chain.from_iterable(parts)), kind)


LAYOUTS: dict[str, Callable[[Path, list[list[int]]], object]] = {
    "megatron.bin": lambda path, ids: write_megatron(path, [[*i, END] for i in ids]),
    "saved.npy": lambda path, ids: np.save(path, flat(ids, "<i4")),
    "flat.npy": lambda path, ids: flat(ids).tofile(path),
    "before.BIN": lambda path, ids: flat(ids, before=True).tofile(path),
    "wide.bin": lambda path, ids: flat(ids, "<u4").tofile(path),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_documents_of_every_layout_are_read(tmp_path, folder, ids, name, monkeypatch, capsys):
    monkeypatch.setattr(token_arrays, "_BLOCK", 100)  # so that documents continue in another block
    LAYOUTS[name](tmp_path / name, ids)
    kind = {"token_type": "uint32"} if name == "wide.bin" else {}
    assert read(tmp_path / f"*{Path(name).suffix.lower()}", folder, **kind) == TEXTS
    assert read(tmp_path / name, folder, max_documents=3, **kind) == TEXTS[:3]
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("name", ["documents", "sequences"])
def test_files_written_by_megatron_are_read(name):
    assert read(MEGATRON / f"{name}.bin", MEGATRON) == TEXTS


def test_another_end_of_text_is_configured(tmp_path, folder, ids):
    flat(ids).tofile(tmp_path / "a.bin")
    comma = Tokenizer.from_file(str(folder / "tokenizer.json")).token_to_id(",")
    parts = read(tmp_path / "a.bin", folder, end_of_text=comma)
    assert "".join(parts).count("<|endoftext|>") == len(TEXTS) + 1, "TEXTS has one of its own"
    assert not any("," in part for part in parts)


def test_text_that_is_encoded_otherwise_is_reported(tmp_path, folder, ids, capsys):
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    letters = [[tokenizer.token_to_id(letter) for letter in word] for word in ("the", "brown")]
    flat([*letters, *ids]).tofile(tmp_path / "a.bin")
    assert read(tmp_path / "a.bin", folder) == ["the", "brown", *TEXTS]
    wanted = f"2 of the first {len(TEXTS) + 2} documents have other ids when their text is encoded"
    assert wanted in capsys.readouterr().err


def damaged(tmp_path: Path, ids: list[list[int]], damage: str) -> Path:
    """A file with one kind of damage."""
    path = tmp_path / "a.bin"
    if damage in ("vocabulary", "odd", "end"):
        flat([*ids[:2], [700, 5] if damage == "vocabulary" else [5]]).tofile(path)
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
    }
    if damage in changes:
        index.write_bytes(changes[damage](index.read_bytes()))
    else:
        path.write_bytes(path.read_bytes()[:-40])
    return path


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        # OLMo-core pull request 619: it was a failed assertion on the GPU
        ("vocabulary", r"a\.bin: document 3: id 700 is not one of the 400 of tokenizer .*; name"),
        ("odd", r"a\.bin: \d+ bytes are not a whole number of uint16 ids"),
        ("end", r"a\.bin: no end of text 0 in \d+ ids; set end_of_text"),
        ("floats", r"a\.npy: not a list of integers \(float32 \[4\]\)"),
        ("table", r"a\.npy: not a list of integers \(uint16 \[2, 3\]\)"),
        ("index", r"a\.idx: truncated index \(\d+ bytes instead of \d+\)"),
        ("header", r"a\.idx: truncated index \(20 bytes instead of \d+\)"),
        ("magic", r"a\.idx: not an index of Megatron"),
        ("type", r"a\.idx: ids are no integers \(type 7\)"),
        ("tokens", r"a\.bin: shorter than its index a\.idx says; copy both again"),
    ],
)
def test_damaged_files_are_one_line(
    tmp_path, folder, ids, damage, message, monkeypatch, capsys
) -> None:
    if damage == "end":
        monkeypatch.setattr(token_arrays, "MAX_DOCUMENT_BYTES", 10)
    path = damaged(tmp_path, ids, damage)
    with pytest.raises(UserError, match=message):
        read(path, folder)
    assert len(read(path, folder, "skip")) < len(TEXTS)
    assert capsys.readouterr().err.count("skipped: ") == 1


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


def test_keys_of_token_files_are_refused_for_other_sources():
    with pytest.raises(ValueError, match="end_of_text describes token_files"):
        Source(files="*.txt", end_of_text=0)


def test_the_corpus_is_made_again_when_a_file_or_its_index_changes(tmp_path, folder, ids):
    sources = [{"token_files": str(tmp_path / "*.bin"), "tokenizer": str(folder)}]
    config = CorpusConfig.model_validate(
        {"general": {"sources": sources}, "domains": {"discover": 2}}
    )
    digests = []
    for documents in (ids[:5], ids):
        write_megatron(tmp_path / "a.bin", documents)
        digests.append(files_digest(config))
    index = tmp_path / "a.idx"
    index.write_bytes(index.read_bytes()[:-9])
    assert len({*digests, files_digest(config)}) == 3
    check_sources_exist(config)
    without = config.model_dump_json().replace(str(folder), "/nowhere")
    with pytest.raises(UserError, match=r"corpus\.general\.sources: /nowhere does not exist"):
        check_sources_exist(CorpusConfig.model_validate_json(without))


def test_tokenised_text_becomes_tokens_again(tmp_path, folder, writer):
    """The corpus of tokenised files has their documents, and the ids that they had."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    documents, sources = {}, {}
    for name in ("general", "law"):
        texts = [writer.document(60) for _ in range(150)]
        ids = [encoding.ids for encoding in tokenizer.encode_batch(texts)]
        file = write_megatron(tmp_path / f"{name}.bin", ids)
        documents[name] = dict(zip(map(tuple, ids), texts, strict=True))
        sources[name] = {"sources": [{"token_files": str(file), "tokenizer": str(folder)}]}
    cleaning = {"benchmarks": [], "near_duplicates": None}
    config = {"general": sources["general"], "domains": {"law": sources["law"]}}
    corpus, tokens = tmp_path / "corpus", tmp_path / "tokens"
    words = ["--config", json.dumps({**config, "cleaning": cleaning}), "--out", str(corpus)]
    assert main(["prepare_corpus", *words]) == 0
    card = json.loads((corpus / "law/card.json").read_text())
    assert card["steps_skipped"] == ["near_duplicates", "benchmarks"]
    words = ["--corpus", str(corpus), "--tokenizer", str(folder), "--out", str(tokens)]
    words += ["--config", '{"minimum_tokens": 1}', "--domain", "law"]
    assert main(["tokenize", *words]) == 0
    order = [text for _, texts in read_documents(corpus, "law", "train") for text in texts]
    trained = open_tokens(tokens / "tokens.json", "train")
    parts = np.split(trained, np.flatnonzero(trained == END)[1:])
    assert [documents["law"][tuple(part[1:].tolist())] for part in parts] == order
