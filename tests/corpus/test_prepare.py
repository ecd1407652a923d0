"""The command on small corpora; every pair of documents of its result is compared for leaks."""

import hashlib
import json
import re
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from splitlaw.cli import main
from splitlaw.common import parallel
from splitlaw.corpus.deduplication.shingles import jaccard, shingle_set
from splitlaw.corpus.documents import read_documents

DOMAINS = ("general", "law", "code")


def section(folder: Path, names: tuple[str, ...] = DOMAINS[1:], **changes: Any) -> str:
    config = {
        "seed": 1,
        "general": {
            "sources": [{"files": str(folder / "general" / "*.jsonl")}],
            "slices": {"law": 0.2},
        },
        "domains": {
            name: {"sources": [{"files": str(folder / name / "*.jsonl")}]} for name in names
        },
        "splits": {"validation": 0.1, "test": 0.1},
        "cleaning": {"benchmarks": []},
    }
    return json.dumps({**config, **changes})


def run(config: str, out: Path, *extra: str) -> int:
    return main(["prepare_corpus", "--config", config, "--out", str(out), *extra])


def texts(out: Path, domain: str, split: str) -> list[str]:
    return [text for _, batch in read_documents(out, domain, split) for text in batch]


def card(out: Path, domain: str) -> dict[str, Any]:
    return json.loads((out / domain / "card.json").read_text())


def hashes(out: Path, *domains: str) -> dict[str, str]:
    return {
        str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest()
        for domain in domains
        for path in sorted((out / domain).iterdir())
    }


@pytest.fixture
def corpus(tmp_path: Path, writer, write_lines) -> Path:
    """Write three domains of 120 documents, a third of which are near copies of earlier ones."""
    pool: list[str] = []
    for name in DOMAINS:
        own = writer.documents(80, 120)
        copied = writer.random.choice([*pool, *own], 40)
        own += [
            writer.altered(text, share) for text, share in zip(copied, [0, 0.03] * 20, strict=True)
        ]
        pool += own
        write_lines(f"in/{name}/0.jsonl", own[:50])
        write_lines(f"in/{name}/1.jsonl", own[50:])
    return tmp_path / "in"


def shared(folder: Path, names: tuple[str, ...] = DOMAINS[1:], **general: Any) -> str:
    return section(folder, names, general={"includes_domains": True, **general})


def test_general_text_that_includes_the_domains_has_their_documents(
    corpus: Path, tmp_path: Path
) -> None:
    own = [{"files": str(corpus / "general/*.jsonl")}]
    for number, sources in enumerate([[], own]):
        out = tmp_path / f"out{number}"
        assert run(shared(corpus, sources=sources), out) == 0
        held_out, train = set(), set()
        for split in ("train", "validation", "test"):
            mixture = texts(out, "general", split)
            parts = [*texts(out, "law", split), *texts(out, "code", split)]
            assert set(parts) <= set(mixture) and len(set(mixture)) == len(mixture)
            assert (len(parts) == len(mixture)) == (not sources)
            (train if split == "train" else held_out).update(mixture)
        assert not train & held_out
        assert card(out, "general")["includes_domains"]
        assert len(card(out, "general")["sources"]) == 2 + number
        assert card(out, "law")["documents_to_general"] == 0


def test_discovered_clusters_may_share_documents_with_general(tmp_path, writer, write_lines):
    for name in ("a", "b"):
        write_lines(f"in/{name}.jsonl", [f"{name} {text}" for text in writer.documents(60, 60)])
    sources = [{"files": str(tmp_path / "in/*.jsonl")}]
    config = shared(tmp_path, sources=sources)
    config = json.dumps({**json.loads(config), "domains": {"discover": 2}})
    assert run(config, tmp_path / "out") == 0
    for split in ("train", "validation", "test"):
        first, second = (texts(tmp_path / "out", f"cluster_{n}", split) for n in (1, 2))
        assert sorted(first + second) == sorted(texts(tmp_path / "out", "general", split))


def test_a_domain_that_is_all_of_the_mixture_is_refused(corpus, tmp_path, write_lines, capsys):
    write_lines("in/short/0.jsonl", ["too short"])
    sources = [{"files": str(corpus / "short/*.jsonl")}]
    assert run(shared(corpus, ("law",), sources=sources), tmp_path / "out") == 2
    message = capsys.readouterr().err.splitlines()[-1]
    assert "domain law: has all documents of general; add a domain" in message
    assert not (tmp_path / "out/law").exists()


def test_no_held_out_document_is_near_a_training_document(corpus: Path, tmp_path: Path) -> None:
    assert run(section(corpus), tmp_path / "out") == 0
    sets = {
        split: [
            shingle_set(text.encode(), 3)
            for domain in DOMAINS
            for text in texts(tmp_path / "out", domain, split)
        ]
        for split in ("train", "validation", "test")
    }
    for left, right in (("train", "test"), ("train", "validation"), ("validation", "test")):
        assert max(jaccard(a, b) for a, b in product(sets[left], sets[right])) < 0.6
    within = np.array([[jaccard(a, b) for a in sets["train"]] for b in sets["train"]])
    assert (within >= 0.6).sum() == len(sets["train"])


def test_cards_account_for_every_document(corpus: Path, tmp_path: Path) -> None:
    run(section(corpus), tmp_path / "out")
    cards = {domain: card(tmp_path / "out", domain) for domain in DOMAINS}
    kept = sum(part["documents"] for c in cards.values() for part in c["splits"].values())
    dropped = sum(part["documents"] for c in cards.values() for part in c["dropped"].values())
    assert kept + dropped == 360
    assert cards["law"]["documents_to_general"] > 0
    by_source = cards["general"]["splits"]["train"]["by_source"]
    assert (
        by_source[str(corpus / "law" / "*.jsonl")]["documents"]
        == cards["law"]["documents_to_general"]
    )
    train = cards["code"]["splits"]["train"]
    assert train["bytes"] == sum(len(t.encode()) for t in texts(tmp_path / "out", "code", "train"))


def test_bytes_depend_only_on_content_config_and_seed(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(section(corpus), tmp_path / "one")
    # Another order of files and of lines, smaller batches, and two processes.
    for domain in DOMAINS:
        lines = [(corpus / domain / f"{i}.jsonl").read_text().splitlines(True) for i in range(2)]
        (corpus / domain / "0.jsonl").write_text("".join(reversed(lines[1])))
        (corpus / domain / "1.jsonl").write_text("".join(reversed(lines[0])))
    monkeypatch.setattr("splitlaw.corpus.sources.reading.BATCH_CHARACTERS", 20_000)
    monkeypatch.setattr("splitlaw.corpus.deduplication.leakage._BATCH_BYTES", 20_000)
    started = []
    pool = parallel.ProcessPoolExecutor
    monkeypatch.setattr(
        parallel, "ProcessPoolExecutor", lambda *given: started.append(given[0]) or pool(*given)
    )
    run(section(corpus), tmp_path / "two", "--workers", "2")
    assert started == [2, 2]
    assert hashes(tmp_path / "one", *DOMAINS) == hashes(tmp_path / "two", *DOMAINS)
    run(section(corpus, seed=2), tmp_path / "three")
    assert hashes(tmp_path / "one", "law") != hashes(tmp_path / "three", "law")
    assert not [path for path in (tmp_path / "one").iterdir() if path.name[0] == "."]


def test_domain_added_at_the_end_does_not_change_the_others(
    tmp_path: Path, writer, write_lines, corpus: Path
) -> None:
    run(section(corpus), tmp_path / "before")
    new = [*writer.documents(80, 120), *texts(tmp_path / "before", "law", "test")[:3]]
    write_lines("in/maths/0.jsonl", new)
    run(section(corpus, names=("law", "code", "maths")), tmp_path / "after")
    assert hashes(tmp_path / "before", *DOMAINS) == hashes(tmp_path / "after", *DOMAINS)
    assert card(tmp_path / "after", "maths")["dropped"]["exact_duplicate"]["documents"] == 3


def test_copies_of_a_test_document_are_dropped_from_training(
    tmp_path: Path, writer, write_lines, corpus: Path
) -> None:
    whole = {"validation": 0.1, "test": 0.1, "passages_below": 0}
    run(section(corpus, splits=whole), tmp_path / "before")
    train = texts(tmp_path / "before", "law", "train")
    copies = [writer.altered(text, 0.01) for text in train]
    write_lines("in/maths/0.jsonl", [*copies, *writer.documents(30, 120)])
    run(section(corpus, names=("law", "code", "maths"), splits=whole), tmp_path / "after")
    left = texts(tmp_path / "after", "law", "train")
    held = [
        text
        for split in ("validation", "test")
        for text in texts(tmp_path / "after", "maths", split)
        if text in copies
    ]
    assert len(held) > 5
    assert len(left) == len(train) - len(held)


def test_weights_determine_the_mixture(tmp_path: Path, writer, write_lines, corpus: Path) -> None:
    write_lines("in/other/0.jsonl", writer.documents(300, 120))
    sources = [
        {"files": str(corpus / "general" / "*.jsonl"), "weight": 1},
        {"files": str(corpus / "other" / "*.jsonl"), "weight": 2, "max_documents": 290},
    ]
    assert run(section(corpus, general={"sources": sources}), tmp_path / "out") == 0
    made = card(tmp_path / "out", "general")
    parts = [
        sum(split["by_source"][source["files"]]["bytes"] for split in made["splits"].values())
        for source in sources
    ]
    assert parts[1] / parts[0] == pytest.approx(2, rel=0.2)  # documents are drawn
    assert made["dropped"]["over_weight"]["documents"] > 50


def test_bad_input_stops_or_is_counted(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with (corpus / "law" / "1.jsonl").open("a") as stream:
        stream.write('{"text": "binary \\u0000 text that is long enough to be kept at all"}\n[]\n')
    assert run(section(corpus), tmp_path / "out") == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith(f"error: {corpus / 'law' / '1.jsonl'}:71: NUL bytes")
    assert not list((tmp_path / "out").iterdir())
    skipping = section(corpus, cleaning={"benchmarks": [], "on_bad_input": "skip"})
    assert run(skipping, tmp_path / "out") == 0
    dropped = card(tmp_path / "out", "law")["dropped"]
    assert dropped["bad_input: NUL bytes in the text"]["documents"] == 1
    assert dropped["bad_input: not a JSON object"]["documents"] == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"colour": 1}, "unknown key colour in corpus; known keys are cleaning, domains"),
        ({"splits": {"validation": 0.6, "test": 0.5}}, "corpus.splits"),
        ({"splits": {"validation": 0.0001, "test": 0.1}}, "leave none for validation"),
        ({"domains": {"law": {"sources": [{"package": "nothing"}]}}}, "no such built-in source"),
        ({"domains": {"law": {"sources": [{}]}}}, r"corpus.domains.law.sources[0]"),
        ({"domains": {"law": {"sources": []}}}, "corpus.domains.law.sources"),
        ({"cleaning": {"on_bad_input": "ask"}}, "give 'stop' or 'skip'"),
        ({"cleaning": {"near_duplicates": {"threshold": 2}}}, "threshold is 2"),
    ],
)
def test_invalid_settings_are_reported(
    corpus: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    changes: dict[str, Any],
    message: str,
) -> None:
    assert run(section(corpus, **{"cleaning": {"benchmarks": []}, **changes}), tmp_path / "o") == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert message in error


def test_file_of_two_domains_is_an_error(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    domains = {
        "law": {"sources": [{"files": str(corpus / "law" / "*.jsonl")}]},
        "rules": {"sources": [{"files": str(corpus / "la*" / "0.jsonl")}]},
    }
    assert run(section(corpus, domains=domains), tmp_path / "out") == 2
    assert "a file of domain law and of domain rules" in capsys.readouterr().err


def test_kept_and_dropped_text_is_shown_with_warnings(
    tmp_path: Path, writer, write_lines, capsys: pytest.CaptureFixture[str]
) -> None:
    own = writer.documents(150, 120)
    write_lines("in/law/0.jsonl", [*own, *own[:30], "short"])
    (tmp_path / "in/law/1.jsonl").write_text("")
    write_lines("in/general/0.jsonl", writer.documents(150, 120))
    config = section(
        tmp_path / "in",
        ("law",),
        general={"sources": [{"files": str(tmp_path / "in/general/*.jsonl")}]},
    )
    assert run(config, tmp_path / "out") == 0
    lines = capsys.readouterr().err.splitlines()
    shown = next(line for line in lines if line.startswith("domain law: kept"))
    amount = r"documents, 0\.\d\d MB"
    assert re.fullmatch(
        rf"domain law: kept 150 {amount}; dropped: exact_duplicate 30 {amount}; "
        rf"too_short 1 {amount}; bad_input: empty file 1 {amount}",
        shown,
    )
    assert not [line for line in lines if line.startswith("warning")]
