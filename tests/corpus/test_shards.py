"""Preparation in shards gives the bytes of one job, and names a shard that failed."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer

from splitlaw.cli import main
from splitlaw.corpus.documents import read_documents, split_files
from splitlaw.corpus.shards import Shard
from splitlaw.corpus.sources.input_errors import InputErrors
from splitlaw.corpus.sources.reading import read_source
from splitlaw.experiment.source_settings import Source
from splitlaw.tokens.tokenizer import save_tokenizer, train_bpe

DOMAINS = ("general", "law", "small")


@pytest.fixture
def config(tmp_path: Path, writer, write_lines) -> dict[str, Any]:
    """Many files, one file, a source with a limit, copies, long documents, a small domain."""
    general, law = writer.documents(260, 60), writer.documents(150, 60)
    copies = [writer.altered(text, 0.02) for text in (general + law)[::9]]
    long = [" ".join(general[i : i + 8]) for i in range(0, 32, 4)]  # share passages
    for number in range(5):
        write_lines(f"general/{number}.jsonl", (general + copies + long)[number::5])
    write_lines("law/0.jsonl", law + law[:5])
    write_lines("more/0.jsonl", writer.documents(40, 60))
    (tmp_path / "small").mkdir()
    for number in range(4):
        (tmp_path / f"small/{number}.txt").write_text("\n\n".join(writer.documents(30, 80)))
    more = {"files": str(tmp_path / "more/*.jsonl"), "max_documents": 30}
    return {
        "general": {"sources": [{"files": str(tmp_path / "general/*.jsonl")}]},
        "domains": {
            "law": {"sources": [{"files": str(tmp_path / "law/*.jsonl")}, more]},
            "small": {"sources": [{"files": str(tmp_path / "small/*.txt")}]},
        },
        "splits": {"validation": 0.1, "test": 0.1},
        "cleaning": {"benchmarks": [], "max_characters": 900},
        "max_file_bytes": 20_000,
    }


def prepare(config: dict[str, Any], out: Path, *extra: object) -> int:
    words = ["prepare_corpus", "--config", json.dumps(config), "--out", str(out)]
    return main([*words, *map(str, extra)])


def in_shards(config: dict[str, Any], out: Path, work: Path, shards: int) -> None:
    """Take the steps one after another, the shards of a step in reverse order."""
    shared = ["--work", work, "--shards", shards]
    for step in ("read", "merge", "write", "complete"):
        for shard in reversed(range(shards)) if step in ("read", "write") else [None]:
            own = [] if shard is None else ["--shard", shard]
            assert prepare(config, out, *shared, "--step", step, *own) == 0


def hashes(folder: Path) -> dict[str, str]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in paths
    }


def test_any_number_of_shards_gives_the_same_bytes(config, tmp_path: Path, capsys) -> None:
    assert prepare(config, tmp_path / "one") == 0
    assert len(split_files(tmp_path / "one", "general", "train")) > 2
    expected = hashes(tmp_path / "one")
    for shards in (3, 4):
        in_shards(config, tmp_path / f"c{shards}", tmp_path / f"w{shards}", shards)
        assert hashes(tmp_path / f"c{shards}") == expected
    # A split in one file replaces the files of a split in several.
    assert prepare({**config, "max_file_bytes": 1 << 30}, tmp_path / "one") == 0
    assert [path.name for path in split_files(tmp_path / "one", "general", "train")] == [
        "train.parquet"
    ]


def test_any_number_of_shards_gives_the_same_tokens(config, tmp_path: Path) -> None:
    corpus = tmp_path / "corpus"
    assert prepare(config, corpus) == 0
    texts = (text for _, batch in read_documents(corpus, "general", "train") for text in batch)
    tokenizer: Tokenizer = train_bpe(texts, 400)
    save_tokenizer(tokenizer, tmp_path / "tokenizer")
    words = ["tokenize", "--corpus", corpus, "--tokenizer", tmp_path / "tokenizer"]
    words += ["--domain", "general", "--config", '{"minimum_tokens": 1}']

    def encode(out: str, *extra: object) -> int:
        return main([str(word) for word in (*words, "--out", tmp_path / out, *extra)])

    assert encode("one") == 0
    for shards in (3, 4):
        shared = ["--work", tmp_path / f"w{shards}", "--shards", shards]
        for shard in reversed(range(shards)):
            assert encode(f"t{shards}", *shared, "--step", "encode", "--shard", shard) == 0
        assert encode(f"t{shards}", *shared, "--step", "join") == 0
        assert hashes(tmp_path / f"t{shards}") == hashes(tmp_path / "one")


def test_a_shard_that_failed_is_named_and_read_again(config, tmp_path: Path, capsys) -> None:
    work = tmp_path / "work"
    shared = ["--work", work, "--shards", 2]

    def take(step: str, *extra: object) -> str:
        status = prepare(config, tmp_path / "out", *shared, "--step", step, *extra)
        error = capsys.readouterr().err.strip().splitlines()
        return error[-1] if status else ""

    damaged = tmp_path / "general/3.jsonl"
    good = damaged.read_text()
    damaged.write_text(good + "{\n")
    failed = [number for number in (0, 1) if take("read", "--shard", number)]
    assert len(failed) == 1  # the other shard reads other files
    error = take("read", "--shard", failed[0])
    assert f"shard {failed[0]} of 2: {damaged}:" in error
    assert "the same command then resumes, and keeps the finished shards" in error
    assert f"shard {failed[0]} of 2: {work}/read/{failed[0]} is not complete" in take("merge")
    damaged.write_text(good)
    take("read", "--shard", failed[0])
    # The other shard was read when the file was longer.
    assert "files were added or changed since; delete" in take("merge")
    take("read", "--shard", 1 - failed[0])
    with (work / "read/0/texts.bin").open("ab") as stream:
        stream.truncate(10)
    assert f"shard 0 of 2: the files in {work}/read/0 are damaged; delete" in take("merge")
    assert "there are 2, from 0" in take("read", "--shard", 2)
    assert "--step read needs --shard" in take("read")


def test_shards_of_a_data_set_have_all_of_its_rows(tmp_path: Path, monkeypatch) -> None:
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    rows = [f"row {number}" for number in range(23)]
    header = "---\nconfigs:\n- config_name: default\n  data_files: data/*.parquet\n---\n"
    for name, count in (("many", 5), ("few", 1)):
        (tmp_path / name / "data").mkdir(parents=True)
        (tmp_path / name / "README.md").write_text(header)
        for part in range(count):
            saved = datasets.Dataset.from_dict({"text": rows[part::count]})
            saved.to_parquet(tmp_path / name / f"data/{part}.parquet")
        for streaming in (True, False):
            source = Source(dataset=str(tmp_path / name), streaming=streaming)
            parts = [
                list(read_source(source, InputErrors("stop"), Shard(number=number, count=3)))
                for number in range(3)
            ]
            assert sorted(row for part in parts for row in part) == sorted(rows)
            assert all(parts)
