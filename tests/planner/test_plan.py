import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from planner.planted import MIDDLE, RANGE, law, multiplied, several
from splitlaw.common.errors import UserError
from splitlaw.laws import FitResult, fit_table
from splitlaw.planner import Plan, frontier, least_compute, plan

N = MIDDLE.params
C = 6 * N * 3e9


REFERENCE = Path(__file__).parents[2] / "reference" / "grid" / "losses.csv"


@pytest.fixture(scope="module")
def fit():
    return several(law("two_skills", 3, draws=40), law("coupled", 3, draws=40))


@pytest.fixture(scope="module")
def reference():
    """A law with a discrepancy, of the reference table's two smallest sizes."""
    table = pd.read_csv(REFERENCE)
    return fit_table(table[table["size"].isin(["w16", "w24"])], law="two_skills", draws=40)


def test_the_file_holds_what_the_contract_names(fit):
    content = plan(fit, flops=C, params=N).to_json()
    json.dumps(content, allow_nan=False)
    names = "flops params trunk pretrain_tokens specialize_tokens fraction_general predicted_loss"
    assert set(content) >= {*names.split(), "interval", "baselines", "candidates", "warnings"}
    assert set(content) >= {"expected_regret", "expected_regret_relative"}
    assert set(content["interval"]) == {"pretrain_tokens", "fraction_general"}
    for entry in content["baselines"]:
        keys = "strategy pretrain_tokens specialize_tokens predicted_loss probability_worse "
        keys += "compute_multiplier"
        assert set(entry) >= set(keys.split())
    for entry in content["candidates"]:
        assert set(entry) >= {"law", "weight", "fraction_general", "regret"}
    for value, low, high in content["predicted_loss"].values():
        assert low <= value <= high


@pytest.mark.parametrize("trunk", ["shared", "independent"])
def test_plan_and_baselines_spend_the_same_flops(fit, trunk):
    content = plan(fit, flops=C, params=N, trunk=trunk).to_json()
    copies = 1 if trunk == "shared" else 3
    for entry in (content, *content["baselines"]):
        of_trunk = 1 if entry.get("strategy") in ("no_split", "joint") else copies
        tokens = of_trunk * entry["pretrain_tokens"] + sum(entry["specialize_tokens"].values())
        assert C * (1 - 1e-8) <= 6 * N * tokens <= C
    by_name = {b["strategy"]: b for b in content["baselines"]}
    assert list(by_name) == ["two_stage_90", "half", "joint", "no_split", "scratch"]
    assert copies * by_name["two_stage_90"]["pretrain_tokens"] == pytest.approx(0.9 * 3e9)
    assert set(by_name["two_stage_90"]["specialize_tokens"].values()) == {100_000_000}
    assert by_name["half"]["pretrain_tokens"] * copies == pytest.approx(0.5 * 3e9)
    assert set(by_name["no_split"]["specialize_tokens"].values()) == {0}
    assert by_name["scratch"]["pretrain_tokens"] == 0
    assert by_name["joint"]["pretrain_tokens"] == copies * content["pretrain_tokens"]
    assert by_name["joint"]["specialize_tokens"] == content["specialize_tokens"]


def test_joint_training_has_no_prediction(fit):
    made = plan(fit, flops=C, params=N)
    joint = next(entry for entry in made.to_json()["baselines"] if entry["strategy"] == "joint")
    assert set(map(tuple, joint["predicted_loss"].values())) == {(None, None, None)}
    assert joint["probability_worse"] is None
    assert "joint              no prediction" in made.summary()


def test_a_baseline_reaches_the_plans_loss_with_its_multiple_of_the_flops(fit):
    made = plan(fit, flops=C, params=N)
    target, names = made.predicted_mean_loss[0], list(fit.domains)
    share = {"two_stage_90": 0.9, "half": 0.5, "scratch": 0.0}
    found = {entry.strategy: entry.compute_multiplier for entry in made.baselines}
    for strategy, general in share.items():
        value, low, high = found[strategy]
        assert 1 < low <= value <= high
        tokens = value * made.tokens
        point = {
            "params": N,
            "pretrain_tokens": general * tokens,
            "specialize_tokens": (1 - general) * tokens / 3,
        }
        losses = fit.predict(pd.DataFrame([{**point, "domain": name} for name in names]))["loss"]
        # The multiplier errs by at most 1%, and losses fall as a power of at most 0.5.
        assert losses.mean() == pytest.approx(target, rel=5e-3)
    assert found["joint"] is None
    assert Plan.from_json(json.loads(json.dumps(made.to_json()))) == made


def test_no_budget_may_reach_the_loss_of_the_plan():
    # General text alone leaves a loss that grows with G, at any D.
    made = plan(law("coupled", 2, draws=4, G=1.0), flops=C, params=N)
    found = {entry.strategy: entry.compute_multiplier for entry in made.baselines}
    assert found["no_split"] == (None, None, None)
    assert "×>1000" in made.summary()
    json.dumps(made.to_json(), allow_nan=False)


def test_no_baseline_is_predicted_to_be_better(fit):
    content = plan(fit, flops=C, params=N).to_json()
    for baseline in content["baselines"]:
        if baseline["strategy"] == "joint":
            continue
        assert baseline["predicted_mean_loss"][0] > content["predicted_mean_loss"][0]
        assert baseline["probability_worse"] > 0.5


def test_the_plan_mixes_forms_and_reports_the_regret_under_each(fit):
    content = plan(fit, flops=C, params=N).to_json()
    fractions = [c["fraction_general"] for c in content["candidates"]]
    assert min(fractions) < content["fraction_general"] < max(fractions)
    low, high = content["interval"]["fraction_general"]
    assert low <= min(fractions) + 0.02 and high >= max(fractions) - 0.02
    assert all(0 < c["regret"] < 0.05 for c in content["candidates"])
    # Half of the draws are of each form, and differ little from it.
    mean = np.mean([c["regret"] for c in content["candidates"]])
    assert content["expected_regret"] == pytest.approx(mean, rel=0.3)


def test_a_law_that_is_certain_has_no_regret():
    made = plan(law("two_skills", 3), flops=C, params=N)
    assert made.expected_regret is None
    assert any("has no draws" in warning for warning in made.warnings)
    made = plan(law("coupled", 3, draws=5, spread=0.0), flops=C, params=N)
    assert made.expected_regret == pytest.approx(0.0, abs=1e-7)
    low, high = made.interval["fraction_general"]
    assert high - low < 2e-3


def test_a_strategy_that_no_law_covers_has_no_prediction(fit, monkeypatch):
    monkeypatch.setattr("splitlaw.planner.strategies.BASELINES", ("joint", "scratch"))
    for trunk, copies in (("shared", 1), ("independent", 3)):
        made = plan(fit, flops=C, params=N, trunk=trunk)
        joint, scratch = made.baselines
        assert set(joint.predicted_loss.values()) == {(None, None, None)}
        assert joint.probability_worse is None and scratch.probability_worse is not None
        assert joint.specialize_tokens == made.specialize_tokens
        assert joint.pretrain_tokens == copies * made.pretrain_tokens
        assert "joint              no prediction" in made.summary()


def test_a_plan_is_read_back_as_it_was(fit, tmp_path):
    made = plan(fit, flops=C, params=N)
    made.save(tmp_path / "plan.json")
    assert Plan.load(tmp_path / "plan.json") == made


def test_a_law_with_a_discrepancy_is_planned(reference):
    params, per_token = 99320, 780240
    made = plan(reference, flops=per_token * 5242880, params=params, flops_per_token=per_token)
    low, high = made.interval["fraction_general"]
    # The measured best is 24.5%, four times as large as the larger size of the fit.
    assert low <= 0.245 <= high and high - low < 0.2
    assert made.optimality_gap < 1e-4
    assert 0 < made.expected_regret_relative < 2e-3
    assert any("2.23 times the largest measured" in warning for warning in made.warnings)


def test_flops_per_token_can_be_given(fit):
    one = plan(fit, flops=C, params=N).to_json()
    other = plan(fit, flops=3e9 * 10, params=N, flops_per_token=10.0).to_json()
    assert one["pretrain_tokens"] == pytest.approx(other["pretrain_tokens"], rel=1e-6)


def test_flops_per_token_follow_the_table(fit):
    known = replace(fit, flops_per_token={1e7: 1e8, 1e8: 7e8})
    at = plan(known, flops=C, params=1e8).to_json()
    assert at["flops_per_token"] == pytest.approx(7e8)
    beyond = plan(known, flops=C, params=1e9).to_json()
    assert beyond["flops_per_token"] == pytest.approx(7e9)


def test_a_size_is_chosen_from_a_list_or_freely(fit):
    sizes = np.geomspace(3e6, 3e9, 16)
    losses = [plan(replace_draws(fit), flops=C, params=n).predicted_mean_loss[0] for n in sizes]
    free = plan(replace_draws(fit), flops=C)
    assert free.predicted_mean_loss[0] <= min(losses) + 1e-9
    assert free.params == pytest.approx(sizes[int(np.argmin(losses))], rel=0.6)
    listed = plan(replace_draws(fit), flops=C, params=[1e7, 4e8, 1e9])
    at = [plan(replace_draws(fit), flops=C, params=n) for n in (1e7, 4e8, 1e9)]
    best = min(at, key=lambda p: p.predicted_mean_loss[0])
    assert listed.params == best.params


def replace_draws(fit):
    return fit.first(2)


def test_weights_move_tokens(fit):
    even = plan(fit, flops=C, params=N).specialize_tokens
    heavy = plan(fit, flops=C, params=N, weights={"a": 5.0}).specialize_tokens
    assert heavy["a"] > even["a"] and heavy["b"] < even["b"]


def test_a_base_that_exists_is_not_paid_for(fit):
    content = plan(fit, flops=C, params=N, pretrain_tokens=7e9).to_json()
    assert content["pretrain_tokens"] == 7_000_000_000
    assert sum(content["specialize_tokens"].values()) == pytest.approx(3e9)
    by_name = {entry["strategy"]: entry["pretrain_tokens"] for entry in content["baselines"]}
    assert (by_name["joint"], by_name["no_split"]) == (7_000_000_000, 10_000_000_000)


def test_extrapolation_is_reported_with_its_factor(fit):
    warnings = plan(fit, flops=C, params=10 * fit.range["params"][1]).warnings
    assert any("10 times the largest measured" in w for w in warnings)


def test_intervals_widen_beyond_the_measured_range(reference):
    def width(params):
        flops = 6 * params * 60 * params
        value, low, high = plan(reference, flops=flops, params=params).predicted_mean_loss
        return (high - low) / value

    inside, outside = width(reference.range["params"][1]), width(10 * reference.range["params"][1])
    assert outside > 2 * inside


def test_the_inverse_question_gives_the_least_compute(fit):
    wanted = plan(fit, flops=C, params=N).predicted_mean_loss[0]
    found = least_compute(fit, loss=wanted, params=N)
    assert found.flops == pytest.approx(C, rel=1e-4)
    assert found.predicted_mean_loss[0] <= wanted + 1e-7
    with pytest.raises(UserError, match="no budget reaches it"):
        least_compute(fit, loss=0.5, params=N)
    lowest = plan(fit, flops=6 * N * 9e15, params=N).predicted_mean_loss[0]
    with pytest.raises(UserError, match=r"takes .* FLOPs at 3e\+07 parameters under this law; a"):
        least_compute(fit, loss=lowest - 1e-3, params=N)


@pytest.mark.parametrize("worth", [1e-12, 1e-9])
@pytest.mark.parametrize("form", ["additive", "multiplicative", "transferred_data"])
@pytest.mark.parametrize("tokens", [3e9, 3e4])
def test_a_domain_gets_a_token_where_the_law_is_infinite_without_one(form, worth, tokens):
    known = law(form, 3)
    member = known.members[0]
    values, names = member.vector.copy(), member.form.names
    values[len(names) + names.index("B")] += np.log(worth)
    useless = replace(known, members=(replace(member, vector=values),))
    made = plan(useless, flops=6 * N * tokens, params=N)
    assert made.specialize_tokens["b"] >= 1
    assert np.isfinite([loss[0] for loss in made.predicted_loss.values()]).all()
    assert made.pretrain_tokens + sum(made.specialize_tokens.values()) <= tokens
    baselines = {entry.strategy: entry for entry in made.baselines}
    assert baselines["no_split"].predicted_mean_loss == (None, None, None)
    assert baselines["no_split"].probability_worse is None


def test_passes_beyond_the_measured_ones_and_tokens_left_over_are_reported(fit):
    limits = {"a": 1e7, "b": 1e8}
    made = plan(fit, flops=C, params=N, unique_tokens=limits)
    assert any("repeats the text of b" in w and "at most 1 passes" in w for w in made.warnings)

    assert made.unique_tokens == limits and Plan.from_json(made.to_json()) == made
    assert any(w.startswith("a gets") and "passes over its text" in w for w in made.warnings)
    assert plan(fit, flops=C, params=N).unique_tokens == {}

    def rise(pretrain, specialize, domain):
        return 1 + 0.05 * (specialize / 2e8) ** 2

    short = plan(multiplied(law("coupled", 3), rise), flops=C, params=N, pretrain_tokens=1e9)
    assert sum(short.specialize_tokens.values()) < 2e9
    assert any("of the budget unspent: under the law, more" in w for w in short.warnings)


def test_passes_that_are_not_measured_widen_the_interval(reference):
    tokens = 1e6
    spread = [
        np.std(np.log(reference.drawn_losses(5e4, tokens, tokens, 0, unique_specialize=unique)))
        for unique in tokens / np.array([1, 4, 20])
    ]
    assert spread[0] < spread[1] < spread[2]


def test_a_text_of_one_token_is_hardly_repeated(fit):
    made = plan(fit, flops=C, params=N, unique_tokens={"a": 1.0})
    assert made.specialize_tokens["a"] < 1e-3 * made.specialize_tokens["b"]
    assert made.predicted_mean_loss[0] < 9
    assert "nan" not in made.summary()


def test_a_law_that_rises_with_tokens_is_doubted(fit):
    rising = multiplied(fit, lambda pretrain, specialize, _: 1 + (pretrain + specialize) / 1e9)
    made = plan(rising, flops=C, params=N)
    assert any("more tokens would raise the loss" in w for w in made.warnings)
    assert any("check that the column has losses" in w for w in made.warnings)


def test_losses_of_any_size_are_printed_apart(fit):
    printed = plan(fit, flops=1e10, params=N).summary().splitlines()
    row = next(line.split() for line in printed if line.startswith("this split"))
    assert len(row) == 6 and all(float(number) > 1 for number in (row[2], row[3], row[5]))


def test_nothing_is_planned_along_a_column_that_does_not_vary(fit):
    one = replace(fit, range={**RANGE, "pretrain_tokens": (1e9, 1e9)})
    made = plan(one, flops=C, params=N)
    assert made.pretrain_tokens == 1_000_000_000 and not made.pretrain_tokens_paid
    free = plan(fit, flops=C, params=N, pretrain_tokens=1e9)
    assert made == replace(free, warnings=made.warnings, baselines=made.baselines)
    # Every baseline has another D, of which the law says nothing.
    assert all(entry.law is None for entry in made.baselines)
    assert any("All rows of the fit have pretrain_tokens 1e+09" in w for w in made.warnings)
    with pytest.raises(UserError, match=r"pretrain_tokens is 2e.09, but all rows of the fit"):
        plan(one, flops=C, params=N, pretrain_tokens=2e9)
    two = replace(fit, range={**RANGE, "specialize_tokens": (5e8, 5e8)})
    made = plan(two, flops=C, params=N)
    assert set(made.specialize_tokens.values()) == {500_000_000}
    assert made.pretrain_tokens == pytest.approx(1.5e9)
    assert all(entry.compute_multiplier is None for entry in made.baselines)
    assert made.expected_regret == 0
    with pytest.raises(UserError, match=r"too few for 5e.08 domain tokens in each of 3 domains"):
        plan(two, flops=C / 3, params=N)


def test_one_size_is_the_size_of_every_plan(fit):
    one = replace(fit, range={**RANGE, "params": (N, N)})
    assert plan(one, flops=C).params == N
    with pytest.raises(UserError, match=r"params is 6e.07, but all rows of the fit have 3e.07"):
        plan(one, flops=C, params=2 * N)
    with pytest.raises(UserError, match=r"params is 6e.07, but all rows"):
        frontier(one, flops=C, params=2 * N)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"flops": -1.0}, "flops is -1"),
        ({"flops": np.nan}, "flops is nan"),
        ({"flops": 1e308}, "flops is 1e.308; give a number above 0, at most 1e.60"),
        ({"flops": 1e30}, "parameters; a plan has at most 9e.15 tokens: lower the budget"),
        ({"flops": 1e30, "params": None}, "at most 9e.15 tokens: lower the budget"),
        ({"flops": 1e3}, "5.5.*e-06 tokens at 3e.07 parameters, less than one for each of 4 runs"),
        ({"flops": 1e3, "params": None}, "less than one for each of 4 runs; raise the budget"),
        ({"flops": 1e3, "pretrain_tokens": 1e9}, "less than one for each of 3 runs"),
        ({"pretrain_tokens": 1e30}, "pretrain_tokens is 1e.30; a plan has at most"),
        ({"params": 0.0}, "params is 0"),
        ({"trunk": "both"}, "trunk 'both' is unknown"),
        ({"domains": ["a", "z"]}, "domain 'z' is not in the fit"),
        ({"weights": {"z": 1.0}}, "domain 'z' is not planned"),
        ({"weights": {"a": -1.0}}, "a=-1; give a finite number above 0"),
        ({"unique_tokens": {"a": 0.0}}, "unique tokens: a=0"),
        ({"min_tokens_per_model": 4e9}, "too few for 4e.09 tokens per model in 3 domains"),
    ],
)
def test_what_cannot_be_planned_is_refused(fit, options, message):
    with pytest.raises(UserError, match=message):
        plan(fit, **{"flops": C, "params": N, **options})


def one_stage():
    values = {"E": 1.7, "A": 400.0, "alpha": 0.34, "B": 400.0, "beta": 0.28}
    return FitResult.of_parameters("chinchilla", {"a": values}, range=RANGE)


def test_a_law_of_one_stage_is_refused(fit):
    with pytest.raises(UserError, match="law chinchilla describes runs of one stage, so"):
        plan(one_stage(), flops=C, params=N)
    for column in ("pretrain_tokens", "specialize_tokens"):
        never = replace(fit, range={**fit.range, column: (0.0, 0.0)})
        with pytest.raises(UserError, match=f"all rows of the fit have {column} 0, so the law"):
            plan(never, flops=C, params=N)
        with pytest.raises(UserError, match="knows no split; fit a law to runs with both"):
            least_compute(never, loss=2.5, params=N)


def test_a_small_budget_has_a_warning_and_a_large_one_whole_tokens(fit):
    measured = replace(fit, range={**fit.range, "loss": (2.0, 4.0)})
    small = plan(measured, flops=6 * N * 1000, params=N)
    assert any("above every measured one (at most 4)" in warning for warning in small.warnings)
    large = plan(fit, flops=6 * N * 8e15, params=N)
    tokens = [large.pretrain_tokens, *large.specialize_tokens.values()]
    assert min(tokens) > 0 and sum(tokens) <= 8e15
    assert any("times the largest measured" in warning for warning in large.warnings)


def test_the_frontier_has_a_curve_for_the_mean_and_for_each_law(fit):
    table = frontier(fit, flops=C, params=N, fractions=21)
    assert set(table["law"]) == {"mean", "two_skills", "coupled"}
    assert list(table.columns[1:]) == [
        "fraction_general",
        "pretrain_tokens",
        "loss",
        "loss_low",
        "loss_high",
    ]
    mean = table[table["law"] == "mean"]
    made = plan(fit, flops=C, params=N)
    lowest = mean.loc[mean["loss"].idxmin()]
    assert abs(lowest["fraction_general"] - made.fraction_general) <= 0.05
    assert (mean["loss_low"] <= mean["loss_high"]).all()
    assert isinstance(table, pd.DataFrame)


def test_sixty_four_domains_and_one():
    many = law("two_skills", 64, draws=100)
    start = time.process_time()
    content = plan(many, flops=C * 16, params=N).to_json()
    assert time.process_time() - start < 5
    assert len(content["specialize_tokens"]) == 64
    one = plan(law("two_skills", 1, draws=50), flops=C, params=N)
    assert one.pretrain_tokens + one.specialize_tokens["a"] == pytest.approx(3e9)
