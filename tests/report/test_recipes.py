import dataclasses
import json

import numpy as np
import pandas as pd
import pytest
from planted_results import plant_finals

from splitlaw.common.statistics import NORMAL_90, ratio_stderr
from splitlaw.experiment.strategies import OPTIMAL
from splitlaw.planner import multipliers_of_gains, plan
from splitlaw.report import tables_plan
from splitlaw.report.inputs import read_inputs, read_recipes
from splitlaw.stages.final_results import plan_options, rows_of_plan


@pytest.fixture(scope="module")
def recipes(planted):
    return {recipe.strategy: recipe for recipe in read_recipes(read_inputs(planted))}


def test_gains_are_differences_of_weighted_means(planted, recipes):
    table = pd.read_csv(planted / "final/comparison.csv")
    means = table.groupby("strategy")["loss"].mean()
    for strategy, recipe in recipes.items():
        assert recipe.measured == pytest.approx(means[strategy])
        if strategy != OPTIMAL:
            assert recipe.gain == pytest.approx(means[strategy] - means[OPTIMAL])


def test_pairing_by_document_removes_their_common_variation(recipes):
    half = recipes["half"]
    assert half.paired
    assert half.gain_stderr < half.stderr / 5


def test_without_losses_by_document_errors_are_unpaired(results):
    for file in results.rglob("documents.npz"):
        file.unlink()
    half = next(r for r in read_recipes(read_inputs(results)) if r.strategy == "half")
    assert not half.paired
    assert half.gain_stderr == pytest.approx(np.hypot(0.07, 0.07) / np.sqrt(2))


def test_for_documents_of_equal_length_the_error_is_that_of_a_mean():
    nats, tokens = np.random.default_rng(0).normal(size=50), np.full(50, 20.0)
    assert ratio_stderr(nats, tokens) == pytest.approx(nats.std(ddof=1) / 20 / np.sqrt(50))
    assert np.isnan(ratio_stderr(nats[:1], tokens[:1]))


def test_predicted_gains_have_intervals_from_the_draws(planted, recipes):
    plan = json.loads((planted / "split/plan.json").read_text())
    scratch = next(b for b in plan["baselines"] if b["strategy"] == "scratch")
    value, low, high = recipes["scratch"].predicted_gain
    assert value == pytest.approx(
        scratch["predicted_mean_loss"][0] - plan["predicted_mean_loss"][0]
    )
    assert low < value < high


def test_a_recipe_that_the_law_does_not_cover_has_no_predicted_gain(planted):
    inputs = read_inputs(planted)
    first, *others = inputs.plan["baselines"]
    none = {domain: [None, None, None] for domain in first["predicted_loss"]}
    uncovered = {**first, "predicted_loss": none, "predicted_mean_loss": [None, None, None]}
    plan = {**inputs.plan, "baselines": [uncovered, *others]}
    recipes = read_recipes(dataclasses.replace(inputs, plan=plan))
    known = {recipe.strategy: recipe.predicted_gain is not None for recipe in recipes[1:]}
    assert {name for name, predicted in known.items() if not predicted} == {"two_stage_90", "joint"}


def test_the_multiplier_of_a_gain_that_was_measured_as_predicted_is_the_predicted_one(planted):
    inputs = read_inputs(planted)
    half = next(r for r in read_recipes(inputs) if r.strategy == "half")
    gain = {"half": (half.predicted_gain[0], 0.0, 2 * half.predicted_gain[0])}
    value, low, high = multipliers_of_gains(inputs.fit, gain, **plan_options(inputs.plan))["half"]
    assert value == pytest.approx(half.multiplier[0], rel=1e-3)
    assert low == pytest.approx(1.0)
    assert high is None or high > value
    assert half.measured_multiplier[1] < half.measured_multiplier[0]


def test_gains_and_multipliers_are_those_of_the_text_that_there_is(planted):
    inputs = read_inputs(planted)
    limits = {"law": 100_000.0, "code": 150_000.0, "general": 800_000.0}
    options = {**plan_options(inputs.plan), "unique_tokens": limits}
    scarce = plan(inputs.fit, **options).to_json()
    found = read_recipes(dataclasses.replace(inputs, plan=scarce, comparison=None))
    for recipe, entry in zip(found[1:], scarce["baselines"], strict=True):
        if recipe.predicted is None:
            continue
        gain = entry["predicted_mean_loss"][0] - scarce["predicted_mean_loss"][0]
        assert recipe.predicted_gain[0] == pytest.approx(gain)
    gain = {"half": (found[2].predicted_gain[0],) * 3}
    value, *_ = multipliers_of_gains(inputs.fit, gain, **plan_options(scarce))["half"]
    assert value == pytest.approx(found[2].multiplier[0], rel=1e-3)


def test_verdicts(recipes):
    half = dataclasses.replace(recipes["half"], predicted_gain=(0.1, 0.1, 0.1), gain_stderr=0.01)
    cases = {0.12: "as predicted", 0.03: "right sign, wrong size", -0.05: "wrong sign"}
    for gain, verdict in cases.items():
        assert dataclasses.replace(half, gain=gain).verdict == verdict
    assert dataclasses.replace(half, gain=0.1, gain_stderr=0.05).verdict == "too small to test"


def test_seeds_are_averaged_by_document_and_their_spread_is_reported(results):
    plant_finals(results, seeds=(0, 1, 2))
    half = next(r for r in read_recipes(read_inputs(results)) if r.strategy == "half")
    assert half.paired
    assert half.seed_spread > 0


def test_recipes_with_few_tokens_per_parameter_are_marked(recipes):
    scratch = recipes["scratch"]
    assert scratch.tokens_per_param == pytest.approx(1_835_008 / 151_816, rel=1e-3)
    assert not scratch.too_few_tokens
    assert dataclasses.replace(scratch, tokens_per_param=4.9).too_few_tokens


def test_rows_of_another_size_or_budget_are_left_out():
    table = pd.DataFrame(
        {"params": [10, 20, 20], "flops": [5.0, 5.0, 50.0], "budget": [1, 1, 2], "loss": [1, 2, 3]}
    )
    assert rows_of_plan(table, {"params": 20, "flops": 48.0})["loss"].tolist() == [3]


def test_the_quantile_of_the_90_percent_interval():
    from scipy.stats import norm

    assert pytest.approx(norm.ppf(0.95), abs=1e-4) == NORMAL_90


def test_the_table_of_seeds_has_one_column_per_seed(results):
    plant_finals(results, seeds=(0, 1, 2))
    (results / "final/comparison.csv").rename(results / "final/seeds.csv")
    seeds = pd.read_csv(results / "final/seeds.csv")
    seeds[seeds["seed"] == 0].to_csv(results / "final/comparison.csv", index=False)
    inputs = read_inputs(results)
    table = tables_plan.seeds_table(inputs, read_recipes(inputs))
    assert table.rows[0][0] == "Optimal split"
    half = next(row for row in table.rows if row[0] == "Half and half")
    means = seeds.groupby(["strategy", "seed"])["loss"].mean().unstack()
    assert half[2:5] == [f"{v:.4f}" for v in means.loc["half"] - means.loc["optimal"]]
    assert half[-1].endswith("of 3")


def test_seeds_of_another_plan_are_ignored(results):
    comparison = pd.read_csv(results / "final/comparison.csv")
    stale = pd.concat([comparison.assign(seed=n, loss=comparison["loss"] + 0.1) for n in (0, 1)])
    stale.to_csv(results / "final/seeds.csv", index=False)
    inputs = read_inputs(results)
    assert inputs.comparison.equals(comparison)
    assert tables_plan.seeds_table(inputs, read_recipes(inputs)) is None
