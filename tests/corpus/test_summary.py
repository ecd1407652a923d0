"""The lines on the terminal after `prepare_corpus`: what was kept, dropped and recoded."""

import json
import platform
from pathlib import Path

import pytest

from splitlaw.cli import main
from splitlaw.corpus.sources.input_errors import EMPTY_TEXT
from splitlaw.corpus.sources.packages import REFERENCE_PYTHON, source_versions
from splitlaw.corpus.summary import describe_card


@pytest.mark.parametrize(
    ("reason", "share", "warned"),
    [
        # A third of the licences of the default domain `law` are near-duplicates of others.
        ("near_duplicate", 0.45, ""),
        ("near_duplicate", 0.6, "; a higher corpus.cleaning.near_duplicates.threshold keeps more"),
        ("exact_duplicate", 0.45, ""),
        ("over_weight", 0.9, ""),
        ("bad_input: empty file", 0.9, ""),
        ("too_short", 0.04, ""),
        ("too_short", 0.06, "; corpus.cleaning.min_characters decides"),
        ("bad_input: not JSON", 0.06, ""),
    ],
)
def test_lost_text_is_warned_of_and_copies_only_where_they_are_most(reason, share, warned) -> None:
    dropped = {reason: {"documents": round(1000 * share), "bytes": 0}}
    splits = {"train": {"documents": 1000 - round(1000 * share), "bytes": 0}}
    _, *warnings = describe_card({"domain": "law", "splits": splits, "dropped": dropped})
    expected = [f"warning: domain law: {share:.0%} dropped as {reason}{warned}"]
    assert warnings == (expected if warned or reason == "bad_input: not JSON" else [])


def test_files_in_another_encoding_are_counted_on_the_terminal_and_in_the_card(
    tmp_path: Path, writer, capsys: pytest.CaptureFixture[str]
) -> None:
    for domain in ("general", "law"):
        (tmp_path / domain).mkdir()
        for number, text in enumerate(writer.documents(150, 60)):
            encoding = "cp1252" if number < 32 else "utf-8"
            (tmp_path / domain / f"{number}.txt").write_text(f"{text} Müller", encoding=encoding)
    sources = {
        name: {"sources": [{"files": str(tmp_path / name / "*.txt"), "encoding": "auto"}]}
        for name in ("general", "law")
    }
    config = {"domains": {"law": sources["law"]}, "cleaning": {"benchmarks": []}, **sources}
    del config["law"]
    options = ["--config", json.dumps(config), "--out", str(tmp_path / "out")]
    assert main(["prepare_corpus", *options]) == 0
    line = "domain law: files that are not UTF-8 were read: 32 as cp1252"
    assert line in capsys.readouterr().err.splitlines()
    card = json.loads((tmp_path / "out/law/card.json").read_text())
    assert card["encodings"] == {"cp1252": 32, "utf-8": 118}
    assert sum(split["documents"] for split in card["splits"].values()) == 150


def test_empty_texts_are_one_line_with_their_number_and_the_first() -> None:
    note = {EMPTY_TEXT: {"number": 3, "first": "a.csv:7"}}
    card = {"domain": "law", "splits": {"train": {"documents": 97, "bytes": 0}}, "notes": note}
    _, line = describe_card({**card, "dropped": {"blank": {"documents": 3, "bytes": 0}}})
    assert line == (
        "warning: domain law: 3 of 100 documents have an empty text, the first at a.csv:7"
    )


def test_another_python_than_that_of_the_reference_is_warned_of(root: Path) -> None:
    splits = {"train": {"documents": 10, "bytes": 10}}
    card = {"domain": "code", "splits": splits, "dropped": {}}
    versions = source_versions(["licenses", "python_stdlib"])
    assert versions == {"python_stdlib": platform.python_version()}
    assert source_versions(["licenses", None]) == {}
    same, other = ({"versions": {"python_stdlib": v}} for v in (REFERENCE_PYTHON, "3.12.1"))
    assert len(describe_card(card | same)) == len(describe_card(card)) == 1
    assert describe_card(card | other)[1] == (
        "warning: domain code: python_stdlib is the source of Python 3.12.1; the results in "
        f"reference/ are of {REFERENCE_PYTHON}, so their losses are of other text"
    )
    text = (root / "reference/README.md").read_text()
    assert f"standard library of Python {REFERENCE_PYTHON} " in text
