"""Folders and files whose names have spaces, brackets, quotes, or bytes that are not UTF-8.

Sources: pytorch issue 191010, pypsa-eur issue 328, datasets issue 7468.
"""

import gzip
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from splitlaw.cli import main
from splitlaw.common.errors import UserError
from splitlaw.corpus.sources.availability import check_sources_exist, matching_paths
from splitlaw.corpus.sources.input_errors import InputErrors
from splitlaw.corpus.sources.reading import read_source
from splitlaw.experiment.corpus_settings import CorpusConfig
from splitlaw.experiment.source_settings import Source

FOLDERS = {
    b"law [2024]": "law_2024",
    b'my "best" notes': "my_best_notes",
    b"back\\slash": "back_slash",
    b"-dash": "dash",
    b"no": "text_no",
    b"on": "text_on",
    b"1e3": "text_1e3",
    b"null": "text_null",
    b"caf\xe9": "caf",
    b"{braces}": "braces",
    b"$HOME": "home",
    b"it's, 100%": "it_s_100",
    b"new\nline": "new_line",
    b"#hash": "hash",
    "法律".encode(): "text_6cd5_5f8b",
    "Übung".encode(): "ubung",
}
FILES = (b"a b.txt", b"x [1].txt", b"-y.TXT", b'q"\\\xff.md')


@pytest.fixture(scope="module")
def text(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("the text [of] all")
    for name in FOLDERS:
        (folder / os.fsdecode(name)).mkdir()
        for file in FILES:
            (folder / os.fsdecode(name) / os.fsdecode(file)).write_bytes(name + b" " + file)
    return folder


def documents(**source) -> list[str]:
    return list(read_source(Source(**source), InputErrors("stop")))


def test_every_folder_is_a_domain_whose_files_are_found(text, tmp_path):
    for folder in text.iterdir():  # documents are UTF-8, whatever the names are
        for file in folder.iterdir():
            file.write_text(f"words of {folder.name!a} and {file.name!a}")
    out = tmp_path / "made.yaml"
    assert main(["new_experiment", "--text", str(text), "--out", str(out)]) == 0
    written = yaml.safe_load(out.read_text())["corpus"]
    config = CorpusConfig.read(written, where="made.yaml", section="corpus")
    check_sources_exist(config)
    assert set(config.domain_names) == set(FOLDERS.values())
    for name in FOLDERS:
        sources = config.sources[FOLDERS[name]]
        found = [text for s in sources for text in documents(files=s.files)]
        assert len(found) == len(FILES), name
        assert all(ascii(os.fsdecode(name)) in text for text in found)


def test_a_pattern_may_contain_the_brackets_of_a_name(text):
    folder = str(text / "law [2024]")
    assert len(matching_paths(f"{folder}/*.txt")) == 3
    assert len(matching_paths(f"{folder}/x [1].txt")) == 1
    assert len(matching_paths(f"{text}/law [[]2024]/*.txt")) == 3
    assert len(matching_paths(f"{text}/law [[]20[0-9]4]/[a-x]*.txt")) == 2
    source = {"sources": [{"files": f"{text}/l*/x [1].txt"}]}
    config = {"general": source, "domains": {"law": source}}
    config["domains"]["law"] = {"sources": [{"files": f"{text}/*/x [1].txt"}]}
    with pytest.raises(
        UserError, match=r"matches no file; fix the pattern \(of a \[ in a name, wr"
    ):
        check_sources_exist(CorpusConfig.read(config, where="x", section="corpus"))


@pytest.mark.parametrize("name", ["law [2024]", "back\\slash", "{braces}", "new\nline"])
def test_a_folder_of_any_name_can_be_given_as_a_data_set(text, name):
    assert len(documents(dataset=str(text / name))) == len(FILES)


def test_files_of_every_format_may_have_names_that_are_not_utf8(tmp_path):
    pq.write_table(pa.table({"text": ["of a table"]}), tmp_path / "1.parquet")
    (tmp_path / "2.csv").write_text("text\nof a sheet\n")
    with gzip.open(tmp_path / "3.txt.gz", "wt") as stream:
        stream.write("packed by gzip")
    (tmp_path / "4.txt.zst").write_bytes(pa.compress(b"packed by zstd", "zstd", asbytes=True))
    for file in list(tmp_path.iterdir()):
        file.rename(file.with_name(f"\udcff{file.name}"))
    expected = ["of a table", "of a sheet", "packed by gzip", "packed by zstd"]
    assert documents(files=f"{tmp_path}/*") == expected
    assert documents(dataset=str(tmp_path)) == expected


def test_two_folders_of_one_name_are_both_named(tmp_path, capsys):
    for name in ("a:b", "A b"):
        (tmp_path / "text" / name).mkdir(parents=True)
        (tmp_path / "text" / name / "x.txt").write_text("Some text.")
    assert main(["new_experiment", "--text", str(tmp_path / "text")]) == 2
    assert "two folders give the name a_b, A b and a:b; rename" in capsys.readouterr().err
