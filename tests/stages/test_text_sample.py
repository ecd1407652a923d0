"""The report of `new_experiment` on files, as in the documentation of Debian's packages."""

import bz2
import gzip
import json

import pytest
import yaml

from splitlaw.cli import main
from splitlaw.stages.text_sample import language_of, sample_text

ENGLISH = "The clause says that the party is to pay for all of the goods within the time. "
GERMAN = "Die Klausel sagt, dass der Käufer die Ware nicht mit dem Rest und zu spät bezahlt. "


@pytest.mark.parametrize(
    ("text", "language"),
    [
        (ENGLISH, "English"),
        (GERMAN, "German"),
        (
            "Le café est fermé dans la ville, et les élèves sont à une école pour des jours",
            "French",
        ),
        ("El niño comió una manzana con los amigos y después leyó por la noche", "Spanish"),
        ("Все люди не только рождаются свободными, но и равными в правах, как это есть", "Russian"),
        ("人人生而自由，在尊严和权利上一律平等。", "Chinese"),
        ("すべての人間は、生れながらにして自由である。", "Japanese"),
        ("모든 인간은 태어날 때부터 자유롭다", "Korean"),
        ("x = y + 3; print(z)", "unknown"),
        ("", "unknown"),
    ],
)
def test_languages_are_recognised_by_letters_and_frequent_words(text, language):
    assert language_of(text) == language


def test_the_files_are_described_and_the_configuration_reads_them(tmp_path, capsys):
    law, notes = tmp_path / "text/law", tmp_path / "text/notes"
    law.mkdir(parents=True)
    notes.mkdir()
    for number in range(40):
        (law / f"{number}.txt").write_text((ENGLISH if number % 4 else GERMAN) * (number + 1))
    for number in range(3):
        (law / f"name{number}.txt").write_text(f"{ENGLISH} Jörg Müller", encoding="cp1252")
    (law / "short.txt").write_text("Only a few words.")
    (law / "binary.txt").write_bytes(bytes(range(256)) * 40)
    (notes / "a.jsonl").write_text(json.dumps({"body": ENGLISH}) + "\n")
    out = tmp_path / "made.yaml"
    assert main(["new_experiment", "--text", str(tmp_path / "text"), "--out", str(out)]) == 0
    reported = capsys.readouterr().out
    assert "sizes: 17 B to 10.2 kB, median 1.5 kB\n" in reported
    assert "encodings: utf-8 41, cp1252 3; read with encoding: auto" in reported
    assert "near-empty: 1 texts of fewer than 40 characters are dropped\n" in reported
    assert "sampled texts: English 75%, German 23%, " in reported
    assert f"cannot be read: 1 files, such as {law}/binary.txt: no encoding fits" in reported
    assert f"such as {notes}/a.jsonl:1: no field 'text' (it has body); set text_field" in reported
    domains = yaml.safe_load(out.read_text())["corpus"]["domains"]
    assert domains["law"]["sources"] == [{"files": f"{law}/*.txt", "encoding": "auto"}]
    assert domains["notes"]["sources"] == [{"files": f"{notes}/*.jsonl"}]


def test_files_in_utf8_are_described_in_two_lines(tmp_path):
    (tmp_path / "a.txt").write_text(ENGLISH * 30)
    lines = list(sample_text([tmp_path / "a.txt"]).describe())
    assert lines == [
        "sizes: 2.4 kB to 2.4 kB, median 2.4 kB",
        "languages of 1 sampled texts: English 100%",
    ]


@pytest.mark.parametrize(
    ("suffix", "data"),
    [
        ("gz", gzip.compress(ENGLISH.encode(), mtime=0)[:-9]),
        ("gz", b"\x1f\x8b\x08"),
        ("bz2", bz2.compress(ENGLISH.encode())[:-9]),
        ("xz", b"\xfd7zXZ\x00damage"),
        ("zst", b"\x28\xb5\x2f\xfddamage"),
    ],
)
def test_a_damaged_compressed_file_is_among_those_that_cannot_be_read(tmp_path, suffix, data):
    """Our own case: the end of the file was no error of the system."""
    path = tmp_path / f"a.txt.{suffix}"
    path.write_bytes(data)
    *_, line = sample_text([path]).describe()
    assert line.startswith(f"cannot be read: 1 files, such as {path}: truncated or damaged (")
