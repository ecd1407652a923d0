"""Domains of few documents: every split has text, splits are stable, nothing leaks."""

import json
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from splitlaw.cli import main
from splitlaw.corpus.deduplication.shingles import jaccard, shingle_set
from splitlaw.corpus.documents import read_documents
from splitlaw.corpus.passages import PASSAGE_CHARACTERS, cut_into_passages
from splitlaw.corpus.splitting import SPLITS, TEST, TRAIN, VALIDATION

SHARES = {"validation": 0.05, "test": 0.1}


def prose(writer, characters: int) -> str:
    """Sentences of invented words in paragraphs."""
    text = ""
    while len(text) < characters:
        sentences = [writer.document(12) + "." for _ in range(writer.random.integers(2, 6))]
        text += " ".join(sentences) + "\n\n"
    return text.strip()


@pytest.fixture
def files(tmp_path: Path, writer) -> Path:
    """Ten text files of 20 KB as a domain, beside general text."""
    (tmp_path / "own").mkdir()
    for number in range(10):
        (tmp_path / "own" / f"{number}.txt").write_text(prose(writer, 20_000))
    lines = [json.dumps({"text": text}) for text in writer.documents(150, 120)]
    (tmp_path / "general.jsonl").write_text("\n".join(lines))
    return tmp_path


def prepare(files: Path, out: Path, seed: int = 0, workers: str = "1", **splits: Any) -> int:
    config = {
        "seed": seed,
        "general": {"sources": [{"files": str(files / "general.jsonl")}]},
        "domains": {"own": {"sources": [{"files": str(files / "own" / "*.txt")}]}},
        "splits": {**SHARES, **splits},
        "cleaning": {"benchmarks": []},
    }
    arguments = ["--config", json.dumps(config), "--out", str(out), "--workers", workers]
    return main(["prepare_corpus", *arguments])


def texts(out: Path, split: str) -> list[str]:
    return [text for _, batch in read_documents(out, "own", split) for text in batch]


@pytest.mark.parametrize("draw", [0.0, 0.3, 0.93, 0.999])
def test_long_document_gives_each_split_its_share(writer, draw: float) -> None:
    text = prose(writer, 40_000)
    made = list(cut_into_passages(text, draw, **SHARES))
    assert " ".join(part for part, _ in made).split() == text.split()
    size = np.zeros(3)
    for part, split in made:
        size[split] += len(part)
    assert size[[VALIDATION, TEST]] / len(text) == pytest.approx([0.05, 0.1], abs=0.03)
    assert all(len(part) < 1.5 * PASSAGE_CHARACTERS for part, split in made if split != TRAIN)
    assert sum(split == TRAIN for _, split in made) <= 3


def test_cuts_are_at_boundaries_of_paragraphs_sentences_or_words(writer) -> None:
    def ends(text: str) -> set[str]:
        return {part[-1] for part, _ in list(cut_into_passages(text, 0.5, **SHARES))[:-1]}

    text = prose(writer, 30_000)
    paragraphs = {paragraph[-20:] for paragraph in text.split("\n\n")}
    assert {part[-20:] for part, _ in cut_into_passages(text, 0.5, **SHARES)} <= paragraphs
    assert ends(text.replace("\n\n", " ")) == {"."}
    words = text.replace("\n\n", " ").replace(".", "")
    pieces = [part for part, _ in cut_into_passages(words, 0.5, **SHARES)]
    assert " ".join(pieces).split() == words.split()
    unbroken = "x" * 30_000
    assert "".join(part for part, _ in cut_into_passages(unbroken, 0.5, **SHARES)) == unbroken


def test_short_document_is_not_cut(writer) -> None:
    text = writer.document(60)
    assert [split for _, split in cut_into_passages(text, 0.05, **SHARES)] == [TEST]
    assert [split for _, split in cut_into_passages(text, 0.12, **SHARES)] == [VALIDATION]
    assert list(cut_into_passages(text, 0.5, **SHARES)) == [(text, TRAIN)]


def test_ten_files_are_enough_for_every_split_with_any_seed(files: Path, tmp_path: Path) -> None:
    for seed in range(12):
        out = tmp_path / str(seed)
        assert prepare(files, out / "corpus", seed) == 0
        if not seed:
            arguments = ["--corpus", str(out / "corpus"), "--out", str(tmp_path / "t")]
            assert main(["train_tokenizer", *arguments, "--config", '{"vocabulary": 1024}']) == 0
        arguments = ["--corpus", str(out / "corpus"), "--tokenizer", str(tmp_path / "t")]
        arguments += ["--domain", "own", "--config", '{"characters_per_document": 3000}']
        assert main(["tokenize", *arguments, "--out", str(out / "tokens")]) == 0
        made = json.loads((out / "tokens/tokens.json").read_text())["splits"]
        assert made["test"]["documents"] >= 15
        whole = sum(split["bytes"] for split in made.values())
        assert made["train"]["bytes"] / whole == pytest.approx(0.85, abs=0.03)


def test_splitting_the_same_files_by_document_is_refused(
    files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [prepare(files, tmp_path / str(s), s, passages_below=0) for s in range(6)]
    assert 2 in given
    assert "leave none for" in capsys.readouterr().err


def test_adding_a_file_changes_no_passage(files: Path, tmp_path: Path, writer) -> None:
    prepare(files, tmp_path / "before")
    (files / "own" / "-.txt").write_text(prose(writer, 20_000))
    prepare(files, tmp_path / "after")
    for split in SPLITS:
        before, after = (texts(tmp_path / name, split) for name in ("before", "after"))
        assert [text for text in after if text in before] == before
        assert len(after) > len(before)
    card = json.loads((tmp_path / "after/own/card.json").read_text())
    assert card["documents_cut"] == 11


def test_file_order_and_processes_do_not_change_the_result(files: Path, tmp_path: Path) -> None:
    prepare(files, tmp_path / "one")
    (files / "own" / "0.txt").rename(files / "own" / "z.txt")
    prepare(files, tmp_path / "two", workers="2")
    for path in (tmp_path / "one/own").iterdir():
        assert path.read_bytes() == (tmp_path / "two/own" / path.name).read_bytes()


def test_copies_of_files_and_of_passages_do_not_leak(files: Path, tmp_path: Path, writer) -> None:
    own = [path.read_text() for path in sorted((files / "own").iterdir())]
    near = writer.altered(own[0], 0.03)  # a near copy of a file
    quoting = prose(writer, 8_000) + "\n\n" + own[1][5_000:15_000]  # half of another
    (files / "own" / "near.txt").write_text(near)
    (files / "own" / "quoting.txt").write_text(quoting)
    assert prepare(files, tmp_path / "out") == 0
    train = [shingle_set(text.encode(), 3) for text in texts(tmp_path / "out", "train")]
    held = [
        shingle_set(text.encode(), 3)
        for split in ("validation", "test")
        for text in texts(tmp_path / "out", split)
    ]
    inside = [np.isin(passage, part).mean() for passage, part in product(held, train)]
    assert max(inside) < 0.6
    assert max(jaccard(a, b) for a, b in product(held, train)) < 0.6
    dropped = json.loads((tmp_path / "out/own/card.json").read_text())["dropped"]
    assert dropped["near_duplicate"]["documents"] >= 1
    assert dropped["passage_in_training"]["documents"] >= 1


def test_few_general_documents_are_also_cut(tmp_path: Path, writer) -> None:
    for name in ("general", "own"):
        (tmp_path / name).mkdir()
        for number in range(5):
            (tmp_path / name / f"{number}.txt").write_text(prose(writer, 20_000))
    config = {
        "general": {
            "sources": [{"files": str(tmp_path / "general" / "*")}],
            "slices": {"own": 0.3},
        },
        "domains": {"own": {"sources": [{"files": str(tmp_path / "own" / "*")}]}},
        "splits": SHARES,
        "cleaning": {"benchmarks": []},
    }
    out = tmp_path / "out"
    assert main(["prepare_corpus", "--config", json.dumps(config), "--out", str(out)]) == 0
    for domain in ("general", "own"):
        splits = json.loads((out / domain / "card.json").read_text())["splits"]
        assert all(split["documents"] for split in splits.values())


def test_one_large_file_is_held_out_by_passage(tmp_path: Path, writer) -> None:
    # https://github.com/huggingface/transformers/issues/452
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "all.txt").write_text(prose(writer, 300_000))
    lines = [json.dumps({"text": text}) for text in writer.documents(150, 120)]
    (tmp_path / "general.jsonl").write_text("\n".join(lines))
    cleaning = {"benchmarks": [], "max_characters": 2500}
    config = {
        "general": {"sources": [{"files": str(tmp_path / "general.jsonl")}]},
        "domains": {"own": {"sources": [{"files": str(tmp_path / "own" / "*")}]}},
        "splits": SHARES,
        "cleaning": cleaning,
    }
    out = tmp_path / "out"
    assert main(["prepare_corpus", "--config", json.dumps(config), "--out", str(out)]) == 0
    card = json.loads((out / "own/card.json").read_text())
    assert card["long_documents_cut"] == 1
    assert card["documents_cut"] > 100  # passages of the file, each of which gives held-out text
    size = {split: card["splits"][split]["bytes"] for split in SPLITS}
    assert sum(size.values()) > 0.98 * 300_000
    assert size["test"] / sum(size.values()) == pytest.approx(0.1, abs=0.05)


def test_passages_of_long_documents_are_in_one_split(tmp_path: Path, writer) -> None:
    texts_by_document = [writer.document(900) for _ in range(120)]
    lines = "".join(json.dumps({"text": text}) + "\n" for text in texts_by_document)
    (tmp_path / "own.jsonl").write_text(lines)
    (tmp_path / "general.jsonl").write_text(
        "".join(json.dumps({"text": text}) + "\n" for text in writer.documents(150, 120))
    )
    config = {
        "general": {"sources": [{"files": str(tmp_path / "general.jsonl")}]},
        "domains": {"own": {"sources": [{"files": str(tmp_path / "own.jsonl")}]}},
        "splits": SHARES,
        "cleaning": {"benchmarks": [], "max_characters": 2000},
    }
    out = tmp_path / "out"
    assert main(["prepare_corpus", "--config", json.dumps(config), "--out", str(out)]) == 0
    found = {split: texts(out, split) for split in SPLITS}
    assert sum(map(len, found.values())) > 3 * 120
    for text in texts_by_document:
        assert len([split for split in SPLITS if any(p in text for p in found[split])]) == 1
