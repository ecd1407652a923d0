"""The choice of the runs of the next round, on losses of known laws."""

import json

import numpy as np
import pandas as pd
import pytest
import yaml

from splitlaw.cli import main
from splitlaw.experiment.columns import FIT, NEXT_RUNS
from splitlaw.experiment.config import ExperimentConfig
from splitlaw.experiment.identity import rounds_json
from splitlaw.experiment.lineage import GENERAL
from splitlaw.experiment.rounds import pool, read_runs, start_runs, trained_tokens
from splitlaw.laws import FitResult, fit_table

NOISE = 0.002
"""Standard deviation of the log loss between seeds: as measured for models of this size."""


@pytest.fixture
def config(root):
    return yaml.safe_load((root / "configs/disjoint.yaml").read_text())


def experiment(config, domains=("law", "code"), **changes):
    """The default experiment with some of its domains and an adaptive grid."""
    known = config["corpus"]["domains"]
    config["corpus"]["domains"] = {name: known[name] for name in domains}
    config["corpus"]["general"].pop("slices", None)
    config["grid"]["adaptive"] = {"start": 6, "rounds": 3, "stop_regret": 0, **changes}
    return ExperimentConfig.read(config)


def known_law(kappa):
    """A law in which `kappa` is what a general token is worth to a domain."""
    values = {"E": 2.0, "A": 30.0, "alpha": 0.3, "F": 40.0, "phi": 0.3}
    values |= {"B": 60.0, "beta": 0.3, "kappa": kappa, "gamma": 1.0}
    return FitResult.of_parameters("two_skills", dict.fromkeys(("code", "law"), values))


def losses_of(law, runs, made):
    """The rows of losses.csv that runs of a known law would have."""
    rows = []
    for entry in sorted(runs):
        run, shape = entry.run, made.shape_of(entry.size)
        steps = (run.pretrain_steps, run.specialize_steps)
        name = f"{entry.size}-seed{entry.seed}-{run.domain}-D{steps[0]}-S{steps[1]}"
        for domain in law.domains if run.domain == GENERAL else [run.domain]:
            rows.append(
                {
                    "run": name,
                    "split": FIT,
                    "size": entry.size,
                    "params": shape.params,
                    "flops_per_token": shape.flops_per_token,
                    "train_domain": run.domain,
                    "domain": domain,
                    "pretrain_tokens": steps[0] * 1024,
                    "specialize_tokens": steps[1] * 1024,
                    "trunk": f"{entry.size}-seed{entry.seed}-D{steps[0]}",
                    "seed": entry.seed,
                }
            )
    table = pd.DataFrame(rows)
    noise = NOISE * np.random.default_rng(0).standard_normal(len(table))
    table["loss"] = law.predict(
        table[["params", "pretrain_tokens", "specialize_tokens", "domain"]]
    )["loss"] * np.exp(noise)
    return table


class Rounds:
    """Rounds whose runs have the losses of a known law."""

    def __init__(self, folder, config, law, **changes):
        self.folder, self.law = folder, law
        self.made = experiment(config, **changes)
        self.runs = start_runs(self.made)

    def end(self, number):
        """Fit a law to the runs so far and choose the next ones."""
        folder = self.folder / str(number)
        folder.mkdir(parents=True, exist_ok=True)
        table = losses_of(self.law, self.runs, self.made)
        table.to_csv(folder / "losses.csv", index=False)
        fit_table(table, law="two_skills", draws=60).save(folder / "fit.json")
        return self.choose(number)

    def choose(self, number):
        folder = self.folder / str(number)
        words = ["--config", rounds_json(self.made), "--round", str(number)]
        words += ["--losses", str(folder / "losses.csv"), "--law", str(folder / "fit.json")]
        assert main(["end_round", *words, "--out", str(folder / "next_runs.csv")]) == 0
        chosen = read_runs(folder / "next_runs.csv", self.made)
        self.runs = [*self.runs, *chosen]
        return chosen, json.loads((folder / "round.json").read_text())


@pytest.fixture(scope="module")
def two(tmp_path_factory, root):
    """The first round under two laws."""
    rounds = {}
    for name, kappa in (("little", 0.003), ("much", 0.3)):
        config = yaml.safe_load((root / "configs/disjoint.yaml").read_text())
        made = Rounds(tmp_path_factory.mktemp(name), config, known_law(kappa))
        rounds[name] = (made, *made.end(0))
    return rounds


def test_two_laws_get_different_runs(two):
    (little, few, about), (much, many, _) = two["little"], two["much"]
    assert little.made == much.made
    assert set(few) != set(many)
    for made, chosen, _ in two.values():
        assert 1 <= len(chosen) <= 2
        assert set(chosen) <= set(pool(made.made)) - set(start_runs(made.made))
    assert about["round"] == 0 and about["stop"] == ""
    assert about["runs"] == 18
    assert 0 < about["expected_regret_relative"] < about["expected_regret"]
    table = pd.read_csv(little.folder / "0/next_runs.csv")
    assert list(table.columns) == NEXT_RUNS
    left = pd.read_csv(little.folder / "0/pool.csv")
    assert len(left) == len(pool(little.made)) - 18


def test_the_same_losses_give_the_same_runs(two, tmp_path, config):
    made, chosen, about = two["little"]
    again = Rounds(tmp_path, config, made.law)
    assert again.end(0) == (chosen, about)


def test_runs_that_were_chosen_before_are_kept_and_a_new_domain_gets_its_own(two):
    made, chosen, _ = two["little"]
    file = made.folder / "0/round.json"
    about = json.loads(file.read_text())
    text = (made.folder / "0/next_runs.csv").read_text()
    assert made.choose(0) == (chosen, about)
    assert (made.folder / "0/next_runs.csv").read_text() == text
    of_code = [entry for entry in chosen if entry.run.domain == "code"]
    file.write_text(json.dumps({**about, "domains": ["code"]}))
    later, about = made.choose(0)
    assert later[: len(chosen)] == chosen
    assert {entry.run.domain for entry in later[len(chosen) :]} <= {"law"}
    assert of_code == [entry for entry in later if entry.run.domain == "code"]
    assert about["domains"] == ["code", "law"]


@pytest.mark.parametrize(
    ("changes", "number", "reason"),
    [
        ({"stop_regret": 0.5}, 0, "stop_regret"),
        ({"rounds": 1}, 1, "rounds"),
        ({"max_tokens": "start"}, 0, "max_tokens"),
    ],
)
def test_the_last_round_has_its_reason(two, tmp_path, config, changes, number, reason):
    before = two["little"][0]
    start = trained_tokens(before.made, start_runs(before.made))
    if changes.get("max_tokens") == "start":
        changes = {"max_tokens": start}
    made = Rounds(tmp_path, config, before.law, **changes)
    (tmp_path / str(number)).mkdir()
    for file in (before.folder / "0").glob("[lf]*"):
        (tmp_path / str(number) / file.name).write_bytes(file.read_bytes())
    chosen, about = made.choose(number)
    assert (chosen, about["stop"]) == ([], reason)
    assert about["tokens"] == start
