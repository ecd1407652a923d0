"""The version, the citation and the dataset card of the reference tables."""

import re
from pathlib import Path

import pytest
import yaml
from datasets import load_dataset

import splitlaw

ROOT = Path(__file__).parent.parent
REFERENCE = ROOT / "reference"
CARD = yaml.safe_load((REFERENCE / "README.md").read_text(encoding="utf-8").split("---\n")[1])
CITATION_KEYS = {
    *("cff-version", "message", "title", "abstract", "type", "version", "license", "authors"),
    *("references", "date-released", "doi", "identifiers", "keywords", "url", "repository-code"),
}
"""Keys of the Citation File Format 1.2.0 that the file may use."""


def test_one_version_everywhere():
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.findall(r"^## (.*)$", changes, re.MULTILINE)[0] in (
        splitlaw.__version__,
        "Unreleased",
    )
    assert f"\n## {splitlaw.__version__}\n" in changes
    assert citation()["version"] == splitlaw.__version__


def citation() -> dict:
    return yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))


def test_the_citation_has_the_fields_of_its_format():
    cited = citation()
    assert cited["cff-version"] == "1.2.0" and set(cited) <= CITATION_KEYS
    for entry in (cited, *cited["references"]):
        assert entry["title"] and entry["authors"]
        # A person has a family name, and an entity has a name.
        assert all({"name", "family-names"} & set(author) for author in entry["authors"])
    assert all({"type", "title", "authors"} <= set(entry) for entry in cited["references"])


@pytest.mark.parametrize("config", CARD["configs"], ids=lambda config: config["config_name"])
def test_the_reference_tables_load_as_a_data_set(config, tmp_path):
    splits = {part["split"]: REFERENCE / part["path"] for part in config["data_files"]}
    loaded = load_dataset(str(REFERENCE), config["config_name"], cache_dir=str(tmp_path))
    assert set(loaded) == set(splits)
    for name, file in splits.items():
        assert len(loaded[name]) == file.read_text().count("\n") - 1 > 0
        assert min(loaded[name]["loss"]) > 0
