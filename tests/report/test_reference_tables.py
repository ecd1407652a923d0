"""docs/results.md agrees with the tables of `reference/`, and other tables give a page too."""

import json
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from planted_results import plant_finals

sys.path.insert(0, str(Path(__file__).parents[2] / "docs"))

import make_results
from result_tables import base, collect, figures, grid, page, read, recipes, scarce

from splitlaw.experiment.strategies import REPLAY_STRATEGIES, STRATEGIES

ROOT = Path(__file__).parents[2]


def test_the_page_and_its_figures_are_those_of_the_tables():
    assert not make_results.different(), "run python docs/make_results.py"


def test_no_number_of_the_page_is_typed_by_hand():
    template = page.TEMPLATE.read_text(encoding="utf-8")
    prose = re.sub(r"\{\{.*?\}\}|\{%.*?%\}|`[^`]*`|\]\([^)]*\)", "", template, flags=re.DOTALL)
    assert not re.findall(r".*\d.*", prose)


def test_the_page_is_short():
    assert len(page.PAGE.read_text(encoding="utf-8").splitlines()) <= 200


@pytest.fixture
def reference(tmp_path):
    """A copy of `reference/`, to be changed."""
    return Path(shutil.copytree(ROOT / "reference", tmp_path / "reference"))


def test_results_with_several_seeds_are_collected_and_shown(results, reference):
    shutil.rmtree(results / "final", ignore_errors=True)
    plant_finals(results, seeds=(0, 1, 2))
    table = pd.read_csv(results / "final/comparison.csv")
    for (size, budget, seed, name), rows in table.groupby(["size", "budget", "seed", "strategy"]):
        rows.to_csv(results / f"final/{size}/{budget}/seed{seed}/{name}/losses.csv", index=False)
    shutil.rmtree(reference / "default")
    written = collect.collect(results, reference / "default")
    assert {"recipes.csv", "final/comparison.csv", "split/predicted.csv"} <= set(written)
    (cell,) = recipes.cells(pd.read_csv(reference / "default/recipes.csv"))
    assert cell.seeds == 3 and cell.complete and set(cell.recipes) == set(STRATEGIES)
    half = cell.recipes["half"]
    means = table.groupby(["strategy", "seed"])["loss"].mean().unstack("seed")
    assert half.gain == pytest.approx((means.loc["half"] - means.loc["optimal"]).mean())
    between = half.seed_spread**2 / 3
    assert half.gain_stderr == pytest.approx(np.sqrt(half.gain_document_stderr**2 + between))
    assert "over documents and 3 seeds" in page.page_text(page.context(page.tables(reference)))


def test_a_base_with_replay_has_a_section(reference):
    folder = reference / "base"
    plan = json.loads((reference / "default/split/plan.json").read_text())
    domains = list(plan["specialize_tokens"])
    loss = {domain: [3.8, 3.7, 3.9] for domain in domains}
    entry = {"general_loss": 3.8, "domain_loss": 3.2, "low": 3.1, "high": 3.3}
    entry |= {"fraction_general": 0.2, "replay": dict.fromkeys(domains, 0.1)}
    plan |= {"general_loss": loss, "pareto": [entry, {**entry, "general_loss": 3.9}]}
    plan |= {"general_loss_rise": {"reference": 3.7, "mean": 0.02, "worst": 0.03, "limit": 0.05}}
    plan["baselines"] = []
    rows = pd.read_csv(reference / "default/recipes.csv")
    rows = pd.concat([rows, rows.tail(1)], ignore_index=True).head(len(REPLAY_STRATEGIES))
    rows = rows.assign(strategy=REPLAY_STRATEGIES[: len(rows)], measured_general=3.85)
    comparison = pd.read_csv(reference / "default/final/comparison.csv")
    comparison = comparison.assign(general_loss=3.85, params=plan["params"])
    held = [{"kind": "replay", "domain": "law", "n": 9, "mre": 0.0123, "bias": 0.01}]
    held[0] |= {"coverage": 0.9, "source": base.HELD_OUT}
    (folder / "split").mkdir(parents=True, exist_ok=True)
    (folder / "law").mkdir(exist_ok=True)
    (folder / "split/plan.json").write_text(json.dumps(plan))
    fit = {"holdout": held, "general_after": {"holdout": held}}
    (folder / "law/fit.json").write_text(json.dumps(fit))
    collect.write(rows, folder / "recipes.csv")
    collect.write(comparison, folder / "final/comparison.csv")
    text = page.page_text(page.context(page.tables(reference)))
    assert "# An existing model" in text
    question = base.QUESTIONS["replay", True]
    assert f"| {question} | 1.23% (+1.0%) | 90% | 1.23% (+1.0%) | 90% |" in text
    assert "<svg" in figures.replay_figure(read.Tables.of("base", reference))


def test_scarce_text_with_baselines_and_a_frontier_is_shown(reference):
    folder = reference / "scarce"
    plan = json.loads((folder / "scarcity/40960/w32/3440640/plan.json").read_text())
    own = pd.read_csv(reference / "default/recipes.csv")
    collect.write(own.assign(size="w32", params=68320, unique_tokens=40960), folder / "recipes.csv")
    losses = pd.read_csv(folder / "scarcity/scarcity.csv")
    other = losses[losses["strategy"].isna()]
    frontier = [
        other.assign(fraction_general=share, loss=other["loss"] + (share - 0.6) ** 2)
        for share in (0.2, 0.4, 0.6, 0.8)
    ]
    losses = pd.concat([losses.dropna(subset="strategy"), *frontier], ignore_index=True)
    collect.write(losses, folder / "scarcity/scarcity.csv")
    shown = scarce.plans(folder / "scarcity", pd.read_csv(folder / "scarcity/scarcity.csv"))
    first = next(row for row in shown if row.unique_tokens == 40960)
    assert first.best_share == pytest.approx(0.6, abs=0.05)
    assert first.predicted_loss == plan["predicted_mean_loss"][0]
    text = page.page_text(page.context(page.tables(reference)))
    (line,) = [line for line in text.splitlines() if "| 40,960 | w32 |" in line]
    assert line.count("(0.0") == len(STRATEGIES) - 1  # an error for each baseline


def test_noise_of_rows_that_share_a_trunk():
    generator = np.random.default_rng(0)
    rows = []
    for seed in (0, 1):
        for trunk in range(400):
            common = generator.normal(0, 0.03)
            for domain in "abcd":
                loss = 3 * np.exp(common + generator.normal(0, 0.04))
                row = {"size": "s", "train_domain": domain, "domain": domain, "seed": seed}
                row |= {"pretrain_tokens": trunk + 1, "specialize_tokens": 5, "loss": loss}
                rows.append(row)
    found = grid.noise(pd.DataFrame(rows))
    assert found.sd == pytest.approx(0.05, rel=0.05)  # from 0.03 and 0.04
    assert found.common == pytest.approx(0.36, abs=0.06)
    assert found.error == pytest.approx(0.05 * np.sqrt(2 / np.pi), rel=0.05)


def test_figures_are_the_same_up_to_rounding():
    drawn = '<path d="M 1.00 2.50"/><text>35%</text>'
    assert figures.same(drawn, drawn.replace("2.50", "2.51"))
    assert not figures.same(drawn, drawn.replace("2.50", "2.60"))
    assert not figures.same(drawn, drawn.replace("35%", "36%"))


def test_comparisons_that_the_plan_does_not_win_are_named():
    table = pd.read_csv(ROOT / "reference/default/recipes.csv")
    table.loc[table["strategy"] == "half", "gain"] = -0.01
    found = recipes.wins(recipes.cells(table))
    assert (found.won, found.all, found.lost) == (4, 5, ["half and half"])


def test_every_experiment_has_a_configuration_and_a_description():
    text = (ROOT / "reference/README.md").read_text(encoding="utf-8")
    for folder in (ROOT / "reference").iterdir():
        if folder.is_dir():
            assert (ROOT / read.CONFIGS[folder.name]).exists()
            assert f"\n## {folder.name}\n" in text
