from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from planner.planted import MIDDLE, law
from splitlaw.cli import main
from splitlaw.common.errors import UserError
from splitlaw.experiment.columns import NEXT_RUNS
from splitlaw.laws import fit_table
from splitlaw.planner import next_runs, plan
from splitlaw.planner.knowledge import Knowledge
from splitlaw.planner.pool import Costs, read_pool

N = MIDDLE.params
C = 6 * N * 3e9
GENERAL = (0.0, 5e8, 1e9, 2e9)
SPECIAL = (0.0, 2.5e8, 5e8, 1e9)


def grid(domains, sizes=(1e7, 2e7), seeds=(0,)):
    index = pd.MultiIndex.from_product(
        [sizes, GENERAL, SPECIAL, [*domains, "general"], seeds],
        names=["params", "pretrain_tokens", "specialize_tokens", "domain", "seed"],
    )
    frame = index.to_frame(index=False)
    general = frame["domain"] == "general"
    frame = frame[general == (frame["specialize_tokens"] == 0)]
    return frame[frame["pretrain_tokens"] + frame["specialize_tokens"] > 0]


def losses_of(fit, runs, noise=0.003):
    """Losses of runs with the noise of a row, those of general runs on every domain."""
    rng = np.random.default_rng(0)
    parts = [runs[runs["domain"] != "general"]]
    general = runs[runs["domain"] == "general"]
    parts += [general.assign(domain=name) for name in fit.domains]
    rows = pd.concat(parts, ignore_index=True)
    loss = fit.predict(rows)["loss"] * np.exp(noise * rng.standard_normal(len(rows)))
    return rows.assign(loss=loss, flops_per_token=6 * rows["params"])


@pytest.fixture(scope="module")
def fitted():
    truth = law("two_skills", 2)
    runs = grid(truth.domains)
    few = runs.sample(30, random_state=1)
    table = losses_of(truth, few)
    return truth, runs, table, fit_table(table, draws=120)


def test_a_known_gain_is_found():
    # Two candidates differ by a normal number, of which an observation without noise shows all.
    rng = np.random.default_rng(0)
    x = rng.standard_normal(20_000)
    x = (x - x.mean()) / x.std()
    candidates = np.stack([1 + 0 * x, 1 + 0.02 * x], axis=1)
    observations = np.stack([x, 0.1 * x, rng.standard_normal(len(x))], axis=1)
    noise = np.array([0.0, 0.01, 0.0])
    rng = np.random.default_rng(1)
    knowledge = Knowledge.of(candidates, observations, noise, most=2, rng=rng)
    sure, noisy, nothing = knowledge.gains([[0], [1], [2]])
    # The mean of the smaller of 0 and a normal number is -sd / sqrt(2 pi).
    assert sure == pytest.approx(0.02 / np.sqrt(2 * np.pi), rel=0.02)
    assert noisy == pytest.approx(0.02 / np.sqrt(2 * np.pi) / np.sqrt(2), rel=0.02)
    assert abs(nothing) < 0.02 * sure
    knowledge.choose([1])
    more = knowledge.gains([[0], [1]])
    assert more[0] == pytest.approx(sure - noisy, rel=0.1)
    assert 0 < more[1] < 0.6 * noisy


def test_costs_are_those_of_a_branch_and_of_what_its_trunk_lacks():
    costs = Costs({1e7: 10.0})
    # 20% of 2,000 tokens are the cooldown, so the trunk ends before it where D' is shorter.
    assert costs.tokens(1e7, 0, 1000, 1000) == 2000
    assert costs.tokens(1e7, 0, 1900, 100) == 2000
    costs.add(1e7, 0, 1000, 1000)
    assert costs.tokens(1e7, 0, 1000, 500) == 500
    assert costs.tokens(1e7, 0, 1900, 100) == 2000 - 1000
    assert costs.tokens(1e7, 0, 1000, 0) == 200
    assert costs.tokens(1e7, 1, 1000, 500) == 1500
    assert costs.flops(1e7, 0, 0, 300) == 3000
    given = Costs({1e7: 10.0, 2e7: 20.0}, base={1e7: 1000})
    assert given.tokens(1e7, 3, 1000, 500) == 500
    assert given.tokens(1e7, 3, 1500, 500) == 1000
    assert given.tokens(2e7, 0, 1000, 500) == 1500


def test_chosen_runs_are_new_and_lower_the_expected_regret(fitted):
    _, runs, table, fit = fitted
    found = next_runs(fit, flops=C, params=N, pool=runs, trained=table, runs=9)
    assert list(found.columns) == NEXT_RUNS
    assert len(found) == 9
    for _, batch in found.groupby("batch"):
        assert batch["domain"].is_unique
    # Two domains and the general text: three runs in each batch.
    assert found["batch"].tolist() == sorted(found["batch"].tolist())
    assert found["batch"].max() >= 3
    before, after = found["expected_regret_before"], found["expected_regret_after"]
    assert (after <= before).all() and after.iloc[-1] < 0.9 * before.iloc[0]
    assert after[0] < before[0] and (after < before).sum() >= 4
    assert (before[1:].to_numpy() == after[:-1].to_numpy()).all()
    assert before[0] == pytest.approx(plan(fit, flops=C, params=N).expected_regret, rel=1e-6)
    keys = ["params", "pretrain_tokens", "specialize_tokens", "domain"]
    done = table.assign(domain=table["domain"].where(table["specialize_tokens"] > 0, "general"))
    assert not set(map(tuple, found[keys].to_numpy())) & set(map(tuple, done[keys].to_numpy()))


def test_a_run_that_shares_a_chosen_trunk_is_cheaper(fitted):
    _, runs, _, fit = fitted
    found = next_runs(fit, flops=C, params=N, pool=runs, runs=9)
    alone = 6 * found["params"] * (found["pretrain_tokens"] + found["specialize_tokens"])
    assert (found["flops"] <= alone * (1 + 1e-9)).all()
    assert (found["flops"] < 0.9 * alone).any()


def test_training_the_chosen_runs_lowers_the_regret(fitted):
    truth, runs, table, fit = fitted
    found = next_runs(fit, flops=C, params=N, pool=runs, trained=table, runs=30)
    more = losses_of(truth, found.drop(columns=["flops"]))
    better = fit_table(pd.concat([table, more[table.columns]]), draws=120)
    before = plan(fit, flops=C, params=N).expected_regret
    assert plan(better, flops=C, params=N).expected_regret < before


def test_no_run_is_chosen_where_no_regret_is_expected(fitted):
    _, runs, table, fit = fitted
    found = next_runs(fit, flops=C, params=N, pool=runs, trained=table, runs=len(runs))
    loss = plan(fit, flops=C, params=N).predicted_mean_loss[0]
    assert len(found) and (found["expected_regret_before"] > 1e-6 * loss).all()
    # Draws that all agree have nothing to learn, so no run has a gain.
    (member,) = fit.only(fit.law).members
    same = replace(fit, members=(member.take(np.zeros(5, dtype=int)),))
    assert next_runs(same, flops=C, params=N, pool=runs, trained=table).empty


def test_different_laws_get_different_proposals():
    def proposed(form):
        truth = law(form, 2)
        runs = grid(truth.domains)
        fit = fit_table(losses_of(truth, runs.sample(30, random_state=1)), law=form, draws=120)
        return next_runs(fit, flops=C, params=N, pool=runs, runs=4)

    one, two = proposed("two_skills"), proposed("coupled")
    assert not one.iloc[:, :7].equals(two.iloc[:, :7])
    pd.testing.assert_frame_equal(one, proposed("two_skills"))


def test_a_second_seed_can_be_chosen(fitted):
    _, runs, _, fit = fitted
    pool = pd.concat([runs.assign(seed=seed) for seed in (0, 1)])
    found = next_runs(fit, flops=C, params=N, pool=pool, trained=runs, runs=3)
    assert set(found["seed"]) == {1}


def test_the_command_writes_a_table_and_the_default_pool_is_a_grid(fitted, tmp_path):
    _, _, table, fit = fitted
    fit.save(tmp_path / "fit.json")
    table.to_csv(tmp_path / "losses.csv", index=False)
    out = tmp_path / "next_runs.csv"
    law_options = ["--law", str(tmp_path / "fit.json"), "--losses", str(tmp_path / "losses.csv")]
    plan_options = ["--flops", str(C), "--params", str(N)]
    assert main(["next_runs", *law_options, *plan_options, "--out", str(out)]) == 0
    found = pd.read_csv(out)
    assert list(found.columns) == NEXT_RUNS and len(found) == 2
    assert found["pretrain_tokens"].isin([0.0, *(2e9 / 2**k for k in range(6))]).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"domain": "z"}, "domain 'z' is not in the fit; choose from a, b, general"),
        ({"pretrain_tokens": 0.0, "specialize_tokens": 0.0}, "neither general nor domain tokens"),
        ({"params": -1.0}, r"pool, row 1 \(index .*\): params is -1; give a number above 0"),
        ({"seed": "a"}, r"pool, row 1 \(index .*\): seed is 'a'; give a whole number"),
    ],
)
def test_a_pool_that_cannot_be_used_is_refused(fitted, change, message):
    _, runs, _, fit = fitted
    with pytest.raises(UserError, match=message):
        next_runs(fit, flops=C, params=N, pool=runs.assign(**change))
    with pytest.raises(UserError, match="no run is left"):
        next_runs(fit, flops=C, params=N, pool=runs, trained=runs)
    with pytest.raises(UserError, match="no draws"):
        next_runs(law("two_skills", 2), flops=C, params=N, pool=runs)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"flops": np.nan}, "flops is nan"),
        ({"params": 0.0}, "params is 0; give a finite number above 0"),
        ({"params": np.nan}, "params is nan"),
        ({"runs": 10**6}, "runs is 1000000; give at most 10600"),
    ],
)
def test_a_request_that_cannot_be_used_is_refused(fitted, options, message):
    _, runs, _, fit = fitted
    with pytest.raises(UserError, match=message):
        next_runs(fit, **{"flops": C, "params": N, "pool": runs, **options})


def test_the_default_pool_gets_another_seed_where_it_is_trained(fitted):
    _, _, _, fit = fitted
    everything, _ = read_pool(fit, None, None, fit.domains)
    done = everything.assign(seed=[3, *[0] * (len(everything) - 1)]).iloc[1:]
    left, _ = read_pool(fit, None, done, fit.domains)
    assert left["seed"].tolist() == [0]
    empty = everything.assign(seed="", train_domain="")
    left, _ = read_pool(fit, None, empty, fit.domains)
    assert len(left) == len(everything) and set(left["seed"]) == {1}


def test_a_table_with_one_d_branches_from_models_that_exist(fitted):
    truth, runs, _, _ = fitted
    one_d = runs[runs["pretrain_tokens"] == 1e9]
    fit = fit_table(losses_of(truth, one_d), draws=20)
    runs, costs = read_pool(fit, None, None, fit.domains)
    assert (runs["specialize_tokens"] > 0).all()
    run = runs.iloc[0]
    tokens = costs.tokens(run["params"], 1, run["pretrain_tokens"], run["specialize_tokens"])
    assert tokens == run["specialize_tokens"]
