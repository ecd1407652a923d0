"""Plans with a base, with replay, and with a limit on general loss, checked against brute force."""

import json
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from laws.planted_replay import BASE, PARAMS, general_loss, table
from scipy.stats import norm

from splitlaw import plan
from splitlaw.cli import main
from splitlaw.common.errors import UserError
from splitlaw.laws import fit_table
from splitlaw.planner import Plan, least_compute, next_runs
from splitlaw.planner.branches import BranchLaws
from splitlaw.planner.replay import best_share
from splitlaw.planner.replay_summary import replay_lines
from splitlaw.planner.surface import Setting

FLOPS = 6 * PARAMS * 3e6
"""Pays for 3 million tokens."""
NOISE = 0.002
"""Standard deviation of the log loss of a planted run."""


@pytest.fixture(scope="module")
def fit():
    return fit_table(table(), draws=20, base_tokens=BASE)


def losses(fit, added, branch, share):
    """Domain losses and general losses [..., 2] after branches of T tokens [..., 2]."""
    at = PARAMS, BASE + added[..., None], (1 - share) * branch, np.arange(2)
    laws = fit.without_draws, fit.general_after.without_draws
    return [law.losses(*at, replay=np.array(share)) for law in laws]


def highest(fit, limit):
    """General loss [2] at the limit."""
    return (1 + limit) * fit.general_after.losses(PARAMS, BASE, 0.0, np.arange(2))


def best_of_grid(fit, limit):
    """The lowest mean loss within the limit of all splits of a grid, whole budgets spent."""
    parts = np.linspace(0.0, 1.0, 25)
    grid = np.array([(a, b) for a, b in product(parts, parts) if a + b <= 1.0])
    added, first = 3e6 * grid.T
    branch = np.stack([first, 3e6 - added - first], axis=-1)
    best = np.inf
    for share in np.linspace(0, 0.5, 51):
        domain, general = losses(fit, added, branch, share)
        best = np.fmin(best, np.where(general <= highest(fit, limit), domain, np.inf))
    return best.mean(axis=-1).min()


def best_without_replay(fit, limit):
    """The same without replay, with the longest branches that keep the limit."""
    added = np.linspace(0, 3e6, 61)
    branch = np.geomspace(1e4, 3e6, 400)[:, None, None] * np.ones((61, 2))
    domain, general = losses(fit, added, branch, 0.0)
    kept = general <= highest(fit, limit)
    longest = np.where(kept, branch, 0.0).max(axis=0)
    best = np.where(kept, domain, np.inf).min(axis=0).mean(axis=-1)
    return best[longest.sum(axis=-1) + added <= 3e6].min()


@pytest.mark.parametrize("limit", [0.03, 10.0])
def test_free_shares_reach_the_best_split_of_a_grid(fit, limit):
    limits = {"max_general_loss_rise": limit, "limit_confidence": 0.5}
    found = plan(fit, flops=FLOPS, replay="free", **limits)
    best = best_of_grid(fit, limit)
    # The grid has steps of 4% of the tokens and of 1 point of replay.
    assert found.predicted_mean_loss[0] <= best
    assert found.predicted_mean_loss[0] > 0.998 * best
    assert found.general_loss_rise["worst"] <= limit + 2e-5
    spent = sum(found.specialize_tokens.values()) + sum(found.replay_tokens.values())
    assert spent + found.pretrain_tokens - BASE <= 3e6
    for name, share in found.replay.items():
        whole = found.specialize_tokens[name] + found.replay_tokens[name]
        assert found.replay_tokens[name] == pytest.approx(share * whole, abs=1)


def test_without_replay_the_limit_bounds_the_branches(fit):
    limits = {"max_general_loss_rise": 0.05, "limit_confidence": 0.5}
    found = plan(fit, flops=FLOPS, replay=0.0, **limits)
    best = best_without_replay(fit, 0.05)
    # The grid has steps of 2%, and leaves out splits whose longest branches cost too much.
    assert 0.998 * best < found.predicted_mean_loss[0] <= 1.0002 * best
    assert found.general_loss_rise["worst"] == pytest.approx(0.05, abs=2e-4)
    assert set(found.replay.values()) == {0.0}


def test_a_domain_keeps_the_share_that_is_given(fit):
    found = plan(fit, flops=FLOPS, replay={"a": 0.2, "b": "free"}, max_general_loss_rise=0.05)
    assert found.replay["a"] == 0.2 and found.replay["b"] != 0.2
    assert found.general_loss_rise["worst"] <= 0.05 + 2e-5


def test_the_front_falls_and_contains_the_plan_without_a_limit(fit):
    found = plan(fit, flops=FLOPS, replay="free")
    front = [(e["general_loss"], e["domain_loss"]) for e in found.pareto]
    general, domain = np.array(front).T
    assert (np.diff(general) > 0).all() and (np.diff(domain) < 1e-4).all()
    assert domain[-1] == pytest.approx(found.predicted_mean_loss[0], rel=1e-4)
    assert all(e["low"] <= e["domain_loss"] <= e["high"] for e in found.pareto)


def test_what_does_not_count_a_base_or_repeated_text_is_refused(fit):
    with pytest.raises(UserError, match="next_runs does not plan with a base"):
        next_runs(fit, flops=FLOPS, params=PARAMS)
    with pytest.raises(UserError, match="a target loss does not plan with a base"):
        least_compute(fit, loss=3.0)
    with pytest.raises(UserError, match="repeated general text; give limits of domains alone"):
        plan(fit, flops=FLOPS, unique_tokens={"general": 1e5})


def test_repeated_text_after_a_base_is_planned_as_in_a_grid(fit):
    limits = {"max_general_loss_rise": 0.05, "limit_confidence": 0.5}
    unique = {"a": 2e5, "b": 4e5}
    found = plan(fit, flops=FLOPS, unique_tokens=unique, **limits)
    assert found.unique_tokens == unique
    best = np.inf
    parts = np.linspace(0.0, 1.0, 25)
    added, first = 3e6 * np.array([(a, b) for a, b in product(parts, parts) if a + b <= 1]).T
    branch = np.stack([first, 3e6 - added - first], axis=-1)
    for share in np.linspace(0, 0.5, 51):
        at = PARAMS, BASE + added[:, None], (1 - share) * branch, np.arange(2)
        seen = {"unique_specialize": np.minimum(at[2], [2e5, 4e5]), "replay": np.array(share)}
        domain, general = (
            law.without_draws.losses(*at, **seen) for law in (fit, fit.general_after)
        )
        best = np.fmin(best, np.where(general <= highest(fit, 0.05), domain, np.inf))
    best = best.mean(axis=-1).min()
    # The grid has steps of 4% of the tokens and of 1 point of replay, and spends the whole budget.
    assert 0.99 * best < found.predicted_mean_loss[0] <= best
    without = plan(fit, flops=FLOPS, **limits)
    assert found.predicted_mean_loss[0] > without.predicted_mean_loss[0]


def test_baselines_differ_in_replay_alone(fit):
    found = plan(fit, flops=FLOPS, max_general_loss_rise=0.05)
    strategies = [b.strategy for b in found.baselines]
    assert strategies == ["no_replay", "replay_5", "replay_25", "replay_50", "mixture"]
    whole = {n: t + found.replay_tokens[n] for n, t in found.specialize_tokens.items()}
    for baseline, share in zip(found.baselines[:-1], (0, 0.05, 0.25, 0.5), strict=True):
        assert baseline.pretrain_tokens == found.pretrain_tokens
        for name, tokens in baseline.specialize_tokens.items():
            assert tokens + baseline.replay_tokens[name] == whole[name]
            assert baseline.replay[name] == share
    general = [b.general_loss["a"][0] for b in found.baselines[:-1]]
    assert (np.diff(general) < 0).all()
    mixture = found.baselines[-1]
    replayed = sum(found.replay_tokens.values())
    assert mixture.pretrain_tokens == found.pretrain_tokens + replayed
    assert mixture.predicted_mean_loss[0] is None


def test_a_limit_that_no_plan_keeps_names_the_nearest(fit):
    nearest = []
    for confidence in (0.5, 0.99):
        limits = {"max_general_loss_rise": -0.3, "limit_confidence": confidence}
        message = rf"a probability of {confidence:g}; the nearest limit that one keeps is -0\.\d+"
        with pytest.raises(UserError, match=message) as raised:
            plan(fit, flops=FLOPS, **limits)
        nearest.append(float(str(raised.value).split()[-1]))
        found = plan(fit, flops=FLOPS, **{**limits, "max_general_loss_rise": nearest[-1]})
        assert found.general_loss_rise["worst"] <= nearest[-1] + 2e-5
    assert nearest[0] < nearest[1]


def kept_by_new_runs(fit, found, limit):
    """Shares of new runs of a plan that keep the limit, of each domain [2], from the draws."""
    after = fit.general_after
    special, replay, replayed = (
        np.array([float(values[name]) for name in fit.domains])
        for values in (found.specialize_tokens, found.replay, found.replay_tokens)
    )
    at = PARAMS, float(found.pretrain_tokens), special, np.arange(2)
    drawn = after.drawn_losses(*at, replay=replayed / (special + replayed))
    noise = np.random.default_rng(0).standard_normal((500, *drawn.shape))
    runs = drawn * np.exp(noise * after.noise_sd())
    assert replayed / (special + replayed) == pytest.approx(replay, abs=1e-4)
    return (runs <= (1 + limit) * found.general_loss_rise["reference"]).mean(axis=(0, 1))


def test_new_runs_keep_the_limit_with_the_confidence(fit):
    limits = {"flops": FLOPS, "max_general_loss_rise": 0.05}
    plans = {0.5: plan(fit, limit_confidence=0.5, **limits), 0.9: plan(fit, **limits)}
    for confidence, found in plans.items():
        rise, kept = found.general_loss_rise, kept_by_new_runs(fit, found, 0.05)
        assert rise["confidence"] == confidence
        assert list(rise["probability_kept"].values()) == pytest.approx(kept, abs=0.01)
        # The draws are few and not exactly normal.
        assert kept == pytest.approx(confidence, abs=0.06)
        assert kept.prod() - 0.05 < rise["probability_all_kept"] <= kept.min() + 0.01
    losses = [found.predicted_mean_loss[0] for found in plans.values()]
    costs = [found.general_loss_rise.get("domain_loss_cost", 0.0) for found in plans.values()]
    assert (np.diff(losses) > 0).all()
    assert costs == pytest.approx(np.subtract(losses, losses[0]), abs=3e-4)
    assert plans[0.5].pareto == plans[0.9].pareto


def kept_by_true_runs(fit, seed, confidence):
    """Shares of new runs of the planted model that keep the limit of a plan [2]."""
    limits = {"max_general_loss_rise": 0.05, "limit_confidence": confidence}
    found = plan(fit, flops=FLOPS, replay=0.05, **limits)
    noise, kept = np.random.default_rng(seed), []
    for k, name in enumerate(fit.domains):
        branch = found.specialize_tokens[name] + found.replay_tokens[name]
        true = general_loss(k, found.pretrain_tokens, branch, found.replay[name])
        runs = true * np.exp(NOISE * noise.standard_normal(400))
        kept.append(np.mean(runs <= 1.05 * found.general_loss_rise["reference"]))
    return kept


def test_measured_specialists_keep_the_limit_only_with_a_margin():
    kept = {0.5: [], 0.9: []}
    for seed in range(2):
        rows = table(seed=seed, noise=NOISE)
        fit = fit_table(rows, law="coupled", draws=40, base_tokens=BASE)
        for confidence, shares in kept.items():
            shares += kept_by_true_runs(fit, seed, confidence)
    # Shares at 0.5 depend on the errors of the two fits, and are not 0.5 in each.
    assert np.mean(kept[0.9]) >= 0.8 and np.mean(kept[0.5]) <= 0.7


@pytest.mark.parametrize("ratio", [0.5, 1.0, 2.0, 5.0])
def test_probabilities_of_a_limit_are_integrals_over_the_trunk(fit, ratio):
    row_sd, after = 0.002, fit.general_after
    first = replace(after.members[0], trunk_sd=ratio * row_sd, row_sd=row_sd)
    after = replace(after, members=(first, *after.members[1:]))
    setting = Setting(
        domains=fit.domains, columns=(0, 1), weights=np.full(2, 0.5), unique=np.full(2, np.inf)
    )
    fit = replace(fit, general_after=after)
    laws = BranchLaws(fit=fit, params=PARAMS, setting=setting, start=BASE)
    at = np.array(8e5), np.array([4e5, 8e5]), np.array([0.1, 0.2])
    limit = np.array([1.001, 1.004]) * laws.general(*at)
    each, together = laws.probability_below(limit, *at)
    effects = np.linspace(-8, 8, 20_001)
    density = norm.pdf(effects) * (effects[1] - effects[0])
    room = np.log(limit / laws.general(*at, drawn=True))
    kept = norm.cdf(room[:, None] / row_sd - ratio * effects[:, None])
    np.testing.assert_allclose(each, np.mean(density @ kept, axis=0), atol=1e-6)
    assert together == pytest.approx(np.mean(kept.prod(axis=-1) @ density), abs=1e-6)
    assert 0.1 < together < each.min() < 1


def test_a_printed_probability_is_rounded_down(fit):
    made = plan(fit, flops=FLOPS, replay=0.05, max_general_loss_rise=0.05).to_json()
    rise = {**made["general_loss_rise"], "probability_kept": {"a": 0.8996, "b": 0.95}}
    text = "\n".join(replay_lines({**made, "general_loss_rise": rise}))
    assert "keeps the limit with a probability of at least 89%, all of them" in text


def test_the_file_of_a_plan_with_replay_is_read_again(fit, tmp_path):
    fit.save(tmp_path / "fit.json")
    out = tmp_path / "plan.json"
    options = ["--flops", str(FLOPS), "--out", str(out), "--max-general-loss-rise", "0.05"]
    options += ["--law", str(tmp_path / "fit.json"), "--replay", "a=0.1", "b=free"]
    main(["choose_split", *options])
    content = json.loads(out.read_text())
    assert content["base"] == {"pretrain_tokens": BASE, "effective_tokens": None}
    assert content["replay"]["a"] == 0.1 and len(content["general_loss"]["b"]) == 3
    names = {"fraction_general", "replay", "domain_loss", "general_loss", "low", "high"}
    assert all(set(entry) == names for entry in content["pareto"])
    assert Plan.load(out).to_json() == {n: v for n, v in content.items() if n != "schema_version"}


def test_the_measured_loss_of_the_base_replaces_that_of_the_law(fit, tmp_path):
    own = fit.general_after.losses(PARAMS, BASE, 0.0, np.arange(2)).mean()
    fit.save(tmp_path / "fit.json")
    trunk, out = tmp_path / "trunk.json", tmp_path / "plan.json"
    trunk.write_text(json.dumps({"base": {"losses": {"general": {"loss": 1.02 * own}}}}))
    options = ["--law", str(tmp_path / "fit.json"), "--flops", str(FLOPS), "--out", str(out)]
    options += ["--replay", "0.1", "--max-general-loss-rise", "0.03", "--limit-confidence", "0.5"]
    main(["choose_split", *options, "--base-general-loss", str(trunk)])
    rise = Plan.load(out).general_loss_rise
    assert rise["reference"] == pytest.approx(1.02 * own)
    assert rise["worst"] == pytest.approx(0.03, abs=2e-4)
    trunk.write_text("{}")
    assert main(["choose_split", *options, "--base-general-loss", str(trunk)]) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"replay": 1.0}, "replay: a=1.0; give a share of at least 0 and below 1"),
        ({"replay": {"c": 0.1}}, "domain 'c' is not planned"),
        ({"max_general_loss_rise": -1.0}, "max_general_loss_rise is -1"),
        ({"replay": 0.1, "params": [1e5, 2e5]}, "has one size"),
        ({"base_general_loss": 0.0}, "base_general_loss is 0"),
        ({"limit_confidence": 0.9}, "limit_confidence: there is no limit"),
        ({"max_general_loss_rise": 0.1, "limit_confidence": 0.4}, "limit_confidence is 0.4; give"),
        ({"max_general_loss_rise": 0.1, "limit_confidence": 1.0}, "limit_confidence is 1; give"),
        ({"replay": 0.1, "pretrain_tokens": 1e6}, "fewer than the 3.2e\\+06 of the base"),
    ],
)
def test_mistakes_name_the_argument(fit, options, message):
    with pytest.raises(UserError, match=message):
        plan(fit, flops=FLOPS, **options)


def test_a_law_without_replay_refuses_free_shares_and_without_general_loss_a_limit():
    rows = table(("a",))
    plain = rows[(rows["domain"] == "a") & (rows["replay"] == 0)]
    fit = fit_table(plain, law="coupled", draws=2)
    with pytest.raises(UserError, match="no row of the fit has replay"):
        plan(fit, flops=FLOPS, replay="free")
    with pytest.raises(UserError, match="has no general loss of specialists"):
        plan(fit, flops=FLOPS, max_general_loss_rise=0.1)


def test_a_law_without_draws_keeps_a_limit_with_its_predictions_alone():
    fit = fit_table(table(), law="coupled", draws=0, base_tokens=BASE)
    with pytest.raises(UserError, match="the fit has no draws"):
        plan(fit, flops=FLOPS, max_general_loss_rise=0.05)
    found = plan(fit, flops=FLOPS, max_general_loss_rise=0.05, limit_confidence=0.5)
    assert "probability_kept" not in found.general_loss_rise


def test_the_share_on_the_limit_is_interpolated():
    general = np.array([[5.0, 4.0, 3.0]])
    losses = np.array([[1.0, 2.0, 4.0]])
    value, place = best_share(losses, general, np.array([3.5]))
    assert value == pytest.approx([3.0]) and place == pytest.approx([1.5])
    value, place = best_share(losses, general, np.array([6.0]))
    assert value == [1.0] and place == [0.0]
    value, place = best_share(losses, general, np.array([2.5]))
    assert value == pytest.approx([4.0 + 1e3 * 0.5]) and place == [2.0]
