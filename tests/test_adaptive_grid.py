"""The workflow with an adaptive grid, whose small models really train on planted tokens."""

import json

import pandas as pd
import pytest
from planted_tokens import write_tokens
from tiny_project import Project

from splitlaw.common.files import write_json
from splitlaw.experiment.config import ExperimentConfig
from splitlaw.experiment.rounds import pool, start_runs

pytestmark = pytest.mark.slow

DOMAINS = ("law", "medicine", "code")
SHAPE = {"layers": 1, "heads": 2, "intermediate": 12}
CELLS = {"pretrain_tokens": [0, 640, 1280], "specialize_tokens": [320, 960]}


class Rounds(Project):
    """A project with two small sizes, planted tokens of all domains, and two rounds."""

    def __init__(self, root, folder):
        super().__init__(root, folder)
        self.results = folder / "results/tiny"
        for domain in ("general", *DOMAINS):
            write_json(self.results / "corpus" / domain / "card.json", {})
        write_json(self.results / "corpus/router/router.json", {})
        write_json(self.results / "tokenizer/tokenizer.json", {})
        for seed, domain in enumerate(("general", *DOMAINS)):
            folder = self.results / "tokens" / domain
            write_tokens(folder, train=6000, documents=[90, 400, 170, 700], seed=seed)
        self.config |= {
            "sizes": {"s": {"width": 8, **SHAPE}, "m": {"width": 16, **SHAPE}},
            "holdout_sizes": [],
            "tokenizer": {"vocabulary": 257},
            "model": {"context": 8},
            "grid": {
                "trunk_tokens": 2560,
                "min_tokens_per_param": 0,
                "seeds": [0],
                "fit": CELLS,
                "holdout": CELLS,
                "adaptive": {"start": 4, "rounds": 2, "stop_regret": 0},
            },
            "evaluation": {"tokens": 1000},
            "law": {"form": "two_skills", "draws": 40, "seed": 0},
            "final": {**self.config["final"], "size": "m", "budget_tokens": 5120},
            "execution": {"compile": False, "device": "cpu"},
        }
        self.config["training"] |= {"batch_tokens": 32, "warmup_tokens": 64}
        del self.config["compare"]
        self.write_config()

    def experiment(self):
        return ExperimentConfig.read(self.config)

    def losses(self, number):
        return pd.read_csv(self.results / f"rounds/{number}/losses.csv")


def run_name(row):
    """The name in losses.csv of a run in next_runs.csv."""
    tokens = f"D{row['pretrain_tokens']:.0f}-S{row['specialize_tokens']:.0f}"
    return f"{row['size']}-seed{row['seed']}-{row['domain']}-{tokens}"


@pytest.fixture(scope="module")
def rounds(root, tmp_path_factory):
    made = Rounds(root, tmp_path_factory.mktemp("rounds"))
    done = made.run("fit_law", "next_runs")
    assert done.returncode == 0, done.stderr
    return made


def test_every_round_trains_the_runs_that_the_one_before_chose(rounds):
    folder = rounds.results / "rounds"
    abouts = [json.loads((folder / f"{n}/round.json").read_text()) for n in range(3)]
    assert [about["stop"] for about in abouts] == ["", "", "rounds"]
    assert abouts[0]["tokens"] < abouts[1]["tokens"] < abouts[2]["tokens"]
    assert not (folder / "3").exists()
    count = len(start_runs(rounds.experiment()))
    assert rounds.losses(0)["run"].nunique() == count
    for number in (1, 2):
        chosen = pd.read_csv(folder / f"{number - 1}/next_runs.csv")
        assert 1 <= len(chosen) <= 2
        added = set(rounds.losses(number)["run"]) - set(rounds.losses(number - 1)["run"])
        assert added == {run_name(row) for row in chosen.to_dict("records")}
        count += len(chosen)
    left = pd.read_csv(folder / "2/pool.csv")
    assert len(left) == len(pool(rounds.experiment())) - count
    assert len(list(rounds.results.glob("runs/*/*/*/D*/run.json"))) == count


def test_the_grid_and_the_law_are_those_of_the_last_round(rounds):
    for file in ("losses.csv", "cost.csv", "law/fit.json"):
        last = (rounds.results / "rounds/2" / file).read_bytes()
        assert (rounds.results / file).read_bytes() == last
    proposed = pd.read_csv(rounds.results / "law/next_runs.csv")
    left = pd.read_csv(rounds.results / "rounds/2/pool.csv")
    columns = ["size", "domain", "pretrain_tokens", "specialize_tokens"]
    assert len(proposed.merge(left[columns], on=columns)) == len(proposed) > 0
    assert rounds.planned("fit_law", "next_runs") == {}


def test_a_further_domain_trains_its_own_branches_alone(rounds):
    before, runs = rounds.states(), set(rounds.losses(2)["run"])
    rounds.config["corpus"]["domains"]["code"] = {"sources": [{"package": "python_stdlib"}]}
    rounds.write_config()
    done = rounds.run("evaluate")
    assert done.returncode == 0, done.stderr
    after = rounds.states()
    assert {file: after[file] for file in before} == before
    added = [str(file) for file in after if file not in before]
    assert any("code-" in file for file in added)
    assert not any("law-" in file or "medicine-" in file for file in added)
    later = set(rounds.losses(2)["run"])
    assert runs < later
    assert {run.split("-")[2] for run in later - runs} == {"code"}
