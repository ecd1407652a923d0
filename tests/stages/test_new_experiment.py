"""Starting configurations for folders of text: the domains that are found, and the file."""

import json
import re

import pytest
import yaml
from existing_models import write_files
from tiny_project import Project

from splitlaw.cli import main
from splitlaw.corpus.sources.availability import check_sources_exist, matching_paths
from splitlaw.experiment.config import ExperimentConfig
from splitlaw.experiment.corpus_settings import CorpusConfig
from splitlaw.stages.new_experiment import starting_config
from splitlaw.stages.text_folder import find_domains, plain


def write(folder, files=3, size=2_000, suffix=".txt"):
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(files):
        (folder / f"{number}{suffix}").write_text("All parties agree. " * (size // 19))
    return folder


def made(tmp_path, text, *words):
    out = tmp_path / "made.yaml"
    assert main(["new_experiment", "--text", str(text), "--out", str(out), *words]) == 0
    return yaml.safe_load(out.read_text())


def test_a_folder_of_files_is_one_domain(tmp_path, config, capsys):
    text = write(tmp_path / "Our Contracts", files=10)
    content = made(tmp_path, text)
    ExperimentConfig.read(content)
    check_sources_exist(CorpusConfig.read(content["corpus"], where="config.yaml", section="corpus"))
    assert list(content["corpus"]["domains"]) == ["our_contracts"]
    assert content["experiment"] == "made"
    assert content["execution"] == {"repeat": True}
    del config["grid"]["unique_tokens"]  # there are fewer tokens than it repeats
    untouched = set(config) - {"experiment", "corpus"}
    assert {key: content[key] for key in untouched} == {key: config[key] for key in untouched}
    reported = capsys.readouterr().out
    assert "10 files" in reported
    assert "--configfile" in reported


def test_text_below_another_folder_is_found_from_the_checkout(tmp_path, monkeypatch):
    write(tmp_path / "here" / "contracts")
    monkeypatch.chdir(tmp_path / "here")
    content = made(tmp_path, "contracts")
    (source,) = content["corpus"]["domains"]["contracts"]["sources"]
    assert source == {"files": f"{tmp_path}/here/contracts/*.txt"}


def test_folders_are_domains_and_general_is_the_mixture(tmp_path):
    for name in ("law", "general", "2024 notes"):
        write(tmp_path / "text" / name, files=50)
    write(tmp_path / "text" / "law" / "more", suffix=".jsonl")
    content = made(tmp_path, tmp_path / "text", "--name", "mine")["corpus"]
    check_sources_exist(CorpusConfig.read(content, where="config.yaml", section="corpus"))
    assert list(content["domains"]) == ["text_2024_notes", "law"]
    assert [s["files"].rsplit("/", 1)[1] for s in content["domains"]["law"]["sources"]] == [
        "*.jsonl",
        "*.txt",
    ]
    assert content["general"]["sources"] == [{"files": f"{tmp_path}/text/general/*.txt"}]
    assert content["general"]["slices"] == {"law": 0.15, "text_2024_notes": 0.15}


def test_suffixes_are_compared_without_case_and_a_readme_is_no_text(tmp_path):
    # https://github.com/zylon-ai/private-gpt/issues/374
    law = tmp_path / "text" / "law"
    for suffix in (".TXT", ".MD", ".ndjson"):
        write(law, files=2, suffix=suffix)
    (tmp_path / "text" / "README.md").write_text("describes the folder")
    sources = made(tmp_path, tmp_path / "text")["corpus"]["domains"]["law"]["sources"]
    assert [s["files"].rsplit("/", 1)[1] for s in sources] == ["*.md", "*.ndjson", "*.txt"]
    assert sum(len(matching_paths(s["files"])) for s in sources) == 6


def test_comments_and_numbers_stay_as_they_are(tmp_path, root):
    out = tmp_path / "made.yaml"
    made(tmp_path, write(tmp_path / "law"))
    text, default = out.read_text(), (root / "config.yaml").read_text()
    assert text.startswith("# The experiment made. ")
    # Too little text for the branches on repeated text.
    default = re.sub(r"  unique_tokens:.*?\n\n", "\n", default, flags=re.DOTALL)
    assert text.partition("\n  splits:")[2].startswith(default.partition("\n  splits:")[2])
    assert 'law: {sources: [{files: "' in text
    assert "# 3 files, 0.01 MB, about 0.00M tokens\n" in text


def test_a_changed_default_configuration_still_gives_general_text(tmp_path, config):
    domains = find_domains(write(tmp_path / "law", files=50))
    prose = config["corpus"]["domains"].pop("prose")
    for general in (prose, {"includes_domains": True}):
        config["corpus"]["general"] = general
        text = starting_config(
            domains, defaults=yaml.safe_dump(config), name="made", file="x", recoded={"law": ()}
        )
        assert yaml.safe_load(text)["corpus"]["general"]["sources"] == prose["sources"]


def test_enough_text_is_not_repeated(tmp_path):
    content = made(tmp_path, write(tmp_path / "long", files=60, size=400_000))
    assert "execution" not in content and "unique_tokens" in content["grid"]
    assert content["corpus"]["general"]["slices"] == {"long": 0.15}


def test_a_base_takes_the_place_of_sizes_and_tokenizer(tmp_path):
    base = write_files(tmp_path / "model")
    content = made(tmp_path, write(tmp_path / "law"), "--base", str(base))
    assert content["base"] == {"path": str(base), "pretrain_tokens": "unknown"}
    assert not {"tokenizer", "sizes", "holdout_sizes"} & set(content)
    config = ExperimentConfig.read(content)
    runs = config.grid_of("base").runs("law")
    assert len({run.pretrain_steps for run in runs}) >= 4, "for the tokens of an unknown base"
    assert {run.replay for run in runs} == {0, 0.1, 0.25, 0.5}
    shown = (tmp_path / "made.yaml").read_text()
    assert "pretrain_tokens: unknown  # or the number of tokens" in shown


def test_the_context_of_a_base_divides_a_batch(tmp_path):
    base = write_files(tmp_path / "model")
    architecture = json.loads((base / "config.json").read_text())
    (base / "config.json").write_text(json.dumps({**architecture, "n_positions": 100}))
    content = made(tmp_path, write(tmp_path / "law"), "--base", str(base))
    assert content["model"]["context"] == 64


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ((), "has no text"),
        (("general/a.txt",), "has no text of a domain"),
        (("law/a.txt", "b.txt"), "loose files such as b.txt"),
        (("a b/x.txt", "a-b/x.txt"), "two folders give the name a_b"),
    ],
)
def test_a_folder_without_domains_is_refused_in_one_line(tmp_path, capsys, names, words):
    text = tmp_path / "text"
    text.mkdir()
    for name in names:
        (text / name).parent.mkdir(exist_ok=True)
        (text / name).write_text("Some text.")
    assert main(["new_experiment", "--text", str(text), "--out", str(tmp_path / "x.yaml")]) == 2
    reported = capsys.readouterr().err
    assert words in reported
    assert reported.count("\n") == 1
    assert not (tmp_path / "x.yaml").exists()


def test_an_existing_file_is_not_overwritten(tmp_path, capsys):
    out = tmp_path / "mine.yaml"
    out.write_text("mine")
    text = write(tmp_path / "law")
    assert main(["new_experiment", "--text", str(text), "--out", str(out)]) == 2
    assert out.read_text() == "mine"
    assert "exists already" in capsys.readouterr().err


def test_names_are_converted():
    names = {"Law": "law", "EU law (2024)": "eu_law_2024", "2024": "text_2024", "übung": "ubung"}
    names |= {"discover": "text_discover", "No": "text_no"}
    assert {name: plain(name) for name in names} == names


@pytest.mark.slow
def test_the_target_writes_a_configuration_that_can_be_run(tmp_path, root):
    folder = tmp_path / "the project [1]"
    folder.mkdir()
    project = Project(root, folder)
    write(tmp_path / "contracts {2024}", files=10)
    asked = ["new_experiment", "--config", f"text={tmp_path / 'contracts {2024}'}"]
    done = project.run(*asked)
    assert done.returncode == 0, done.stderr
    assert "10 files" in done.stdout
    jobs = project.planned("--configfile", "contracts_2024.yaml")
    assert jobs["tokenize_domain"] == 2
    assert jobs["report"] == 1
    refused = project.run("new_experiment")
    assert refused.returncode == 1
    assert "error: no folder is given" in refused.stderr
