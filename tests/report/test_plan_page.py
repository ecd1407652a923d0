import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from laws import planted_replay
from planted_results import BUDGET, SIZES, losses_table
from playwright._impl._driver import compute_driver_executable

from splitlaw.cli import main
from splitlaw.laws import FORMS, FitResult, fit_table
from splitlaw.planner import plan, plan_with_replay
from splitlaw.report import plan_page
from splitlaw.report.number_format import power
from splitlaw.report.plan_page import base_general_loss, explorer, law_data, next_runs_table

NODE = shutil.which("node") or compute_driver_executable()[0]
"""Playwright includes a JavaScript runtime."""
TEMPLATES = Path(plan_page.__file__).parent / "templates"
HEAD = """
for (const [name, file] of [["makeLaw", "law"], ["planner", "planner"], ["replay", "replay"]])
  globalThis[name] = require(`${process.argv[1]}/${file}`);
const { fits, cases } = JSON.parse(require("fs").readFileSync(0, "utf8"));
const laws = fits.map(makeLaw);
const taskOf = ({ fit, settings }) => {
  settings.unique = settings.unique.map((u) => u ?? Infinity);
  settings.uniqueGeneral = Infinity;
  return planner.makeTask(fits[fit], settings);
};
"""
LOSSES = """
console.log(JSON.stringify(cases.map((one) => {
  const law = laws[one.fit], finite = (loss) => (Number.isFinite(loss) ? loss : -1);
  const { mean, drawn } = law.losses(taskOf(one), 0, one.pretrain, one.branch, one.shares);
  return [mean, ...drawn].map((row) => Array.from(row, finite));
})));
"""
PLANS = """
console.log(JSON.stringify(cases.map((one) => {
  const task = taskOf(one), law = laws[one.fit];
  const best = planner.bestSplit(planner.makeSurface(law, task, -1), task);
  const rows = planner.baselines(task, fits[one.fit].generalFractions);
  const splits = [best, ...rows.map(([, pretrain, branch]) => ({ pretrain, branch }))];
  const [mean, ...others] = planner.meanLosses(law, task, splits).mean;
  const shares = Array.from({ length: law.draws }, (_, draw) =>
    planner.fraction(task, planner.bestSplit(planner.makeSurface(law, task, draw), task)));
  const share = planner.fraction(task, best);
  const known = (times) => times.map((x) => (Number.isFinite(x) ? x : 1e9));
  const general = Object.entries(fits[one.fit].generalFractions);
  const multipliers = Object.fromEntries(general.map(([name, share]) =>
    [name, known(planner.multiplier(law, task, best, name, share))]));
  const named = Object.fromEntries(rows.map(([name], i) => [name, others[i]]));
  return { mean, multipliers, rows: named, share, interval: planner.interval(shares, share) };
})));
"""

REPLAYS = """
console.log(JSON.stringify(cases.map(({ fit: number, settings, reference, margins }) => {
  const fit = { ...fits[number], reference, margins };
  const law = laws[number], general = makeLaw(fit.general);
  taskOf({ fit: number, settings });
  const task = replay.makeTask(fit, settings, general), best = replay.best(law, task);
  const meanOf = (split) => planner.meanLosses(law, task, [split]).mean[0];
  const rows = Object.fromEntries(Object.entries(fit.replayShares).map(([name, share]) =>
    [name, meanOf({ ...best, shares: best.branch.map((t) => (t > 0 ? share : 0)) })]));
  const generalOf = (split) =>
    replay.generalLosses(task, split).reduce((x, y, k) => x + task.weights[k] * y, 0);
  const splits = replay.front(law, task).map((job) => job()).filter(Boolean);
  const front = splits.map((split) => [generalOf(split), meanOf(split)]);
  return { mean: meanOf(best), rises: replay.rises(task, best), rows, front };
})));
"""

COMMON = {"E": 1.0, "A": 18.0, "alpha": 0.3, "F": 30.0, "phi": 0.25, "B": 42.0, "beta": 0.3}
SHAPES = {
    "two_skills": {"kappa": 0.05, "gamma": 0.95},
    "effective_tokens": {"kappa": 0.02, "gamma": 0.9, "delta": 0.1},
    "additive": {},
    "multiplicative": {"B": 1500.0},
    "transfer_gap": {"F": 900.0, "G": 8.0},
    "interaction": {"B": 90_000.0, "phi": 0.6, "beta": 0.5, "gamma": 0.02},
    "transferred_data": {"kappa": 0.4, "gamma": 0.3, "phi": 0.6, "delta": 0.05},
    "coupled": {"B": 300.0, "rho": 0.02, "G": 0.01, "gamma": 0.6, "d0": 3e4, "s0": 2e4},
}
"""Parameters of each law for which it differs clearly from the laws that it contains."""


def known_law(law):
    """A law of two domains with two draws; the second domain is harder."""

    def parameters(factor):
        values = {**COMMON, **SHAPES[law]}
        easy = {name: factor * values[name] for name in FORMS[law].names}
        return {"code": easy, "law": {**easy, "E": 2 * easy["E"], "beta": 0.9 * easy["beta"]}}

    return FitResult.of_parameters(law, parameters(1.0), drawn=[parameters(0.99), parameters(1.01)])


def repeated_losses():
    """Losses of runs with several passes over the text, which make the losses higher."""
    table = losses_table(("law", "code"))
    unique = np.where(np.arange(len(table)) % 3, 1e9, 150_000)
    passes = np.maximum(table["specialize_tokens"] / unique, 1)
    return table.assign(
        unique_specialize_tokens=np.minimum(table["specialize_tokens"], unique),
        loss=table["loss"] * (1 + 0.004 * (passes - 1)),
    )


@pytest.fixture(scope="module")
def fits(planted):
    """A law of two forms with a discrepancy, one of repeated text, known laws of every form."""
    fitted = FitResult.load(planted / "law/fit.json").first(8)
    repeated = fit_table(repeated_losses(), law="coupled", draws=4)
    return [fitted, repeated, *(known_law(law) for law in SHAPES)]


def in_javascript(script, fits, cases):
    """The results of a script for cases, each with the number of a fit and settings."""
    sent = json.dumps({"fits": [law_data(fit) for fit in fits], "cases": cases})
    done = subprocess.run(
        [NODE, "-e", HEAD + script, str(TEMPLATES)], input=sent, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-1000:]
    return json.loads(done.stdout)


def random_settings(rng, fit, number):
    """Random settings: budget, size, domains, weights, unique tokens, kind of trunk."""
    names = list(fit.domains) if rng.random() < 0.8 else [str(rng.choice(fit.domains))]
    params = float(np.exp(rng.uniform(*np.log([SIZES["w16"] / 2, SIZES["w56"] * 4]))))
    limited = rng.random(len(names)) < 0.3
    return {
        "names": names,
        "params": params,
        "flops": float(params * BUDGET * 10 ** rng.uniform(-0.5, 1.8)),
        "weights": rng.uniform(0.5, 3, len(names)).tolist(),
        "unique": [float(10 ** rng.uniform(5, 7)) if on else None for on in limited],
        "trunk": "shared" if number % 3 else "independent",
    }


@pytest.fixture(scope="module", params=[None, "unknown", planted_replay.BASE])
def with_replay(request):
    """A law of runs with replay: without a base, from one of unknown and of known tokens."""
    base = request.param
    table = planted_replay.table(("code", "law"), counted=base != "unknown")
    return fit_table(table, law="coupled", draws=3, base_tokens=base)


def replay_settings(**changes):
    settings = {"flops": 6 * planted_replay.PARAMS * 3e6, "params": planted_replay.PARAMS}
    settings |= {"names": ["code", "law"], "weights": [1, 1], "unique": [None, None]}
    return settings | {"trunk": "shared", "shares": [None, None], "rise": None} | changes


def test_the_losses_of_the_page_are_those_with_replay(with_replay):
    pretrain, branch, shares = [1e6, 4e6, 4e6, 2e6], [0.0, 3e5, 8e5, 5e4], [0, 0, 0.25, 0.6]
    case = {"fit": 0, "settings": replay_settings(names=["law"], weights=[1], unique=[None])}
    case |= {"pretrain": pretrain, "branch": branch, "shares": shares}
    (found,) = in_javascript(LOSSES, [with_replay], [case])
    start = with_replay.base if isinstance(with_replay.base, float) else 0.0
    specialize = np.array(branch) * (1 - np.array(shares))
    at = planted_replay.PARAMS, start + np.array(pretrain), specialize, 1
    laws = with_replay.losses, with_replay.drawn_losses
    expected = np.vstack([law(*at, replay=np.array(shares)) for law in laws])
    np.testing.assert_allclose(found, expected, rtol=1e-6)


REPLAY_CASES = {
    None: ([None, None], 0.05, None),
    "unknown": ([0.2, None], 0.1, 3.8),
    planted_replay.BASE: ([0, 0], 0.08, None),
}
"""By base: shares of replay, None where they are chosen, limit, and loss of the base."""


def test_the_plan_with_replay_is_that_of_the_planner(with_replay):
    names, (shares, rise, measured) = ["code", "law"], REPLAY_CASES[with_replay.base]
    theirs = plan_with_replay(
        with_replay,
        flops=replay_settings()["flops"],
        replay=dict(zip(names, ["free" if s is None else s for s in shares], strict=True)),
        max_general_loss_rise=rise,
        base_general_loss=measured,
    ).to_json()
    reference = base_general_loss(with_replay, theirs)
    assert reference == measured
    known = zip(names, shares, strict=True)
    given = {name: f"{100 * share:g}" for name, share in known if share is not None}
    assert explorer(with_replay, theirs)["replay"] == given
    case = {"fit": 0, "settings": replay_settings(shares=shares, rise=rise), "reference": reference}
    case["margins"] = theirs["general_loss_rise"]["margins"]
    (ours,) = in_javascript(REPLAYS, [with_replay], [case])
    # Both search tables for a split at the limit, those of the page with fewer nodes.
    assert ours["mean"] == pytest.approx(theirs["predicted_mean_loss"][0], rel=5e-4)
    bounds = [
        (1 + one) * (1 + margin) - 1
        for one, margin in zip(ours["rises"], case["margins"].values(), strict=True)
    ]
    assert max(bounds) <= rise + 1e-4
    for baseline in theirs["baselines"][:-1]:
        expected = baseline["predicted_mean_loss"][0]
        assert ours["rows"][baseline["strategy"]] == pytest.approx(expected, rel=1e-3)
    general, domain = np.array(ours["front"]).T
    entries = theirs["pareto"]
    front = np.interp(general, *([e[k] for e in entries] for k in ("general_loss", "domain_loss")))
    assert np.median(np.abs(domain / front - 1)) < 3e-4
    # Near the lowest limit few splits are possible, of which the two tables have others.
    assert np.abs(domain / front - 1).max() < 1e-2


def test_the_limit_on_general_loss_has_a_control_only_with_a_law_of_it(with_replay, planted):
    controls = explorer(with_replay, None)
    assert controls["limited"] and controls["replays"]
    assert controls["repeats"] is (with_replay.base is None) is controls["chooses_runs"]
    assert json.loads(controls["data"])["mostReplay"] == 0.5
    plain = explorer(FitResult.load(planted / "law/fit.json"), None)
    assert not plain["limited"] and not plain["replays"] and plain["repeats"]


def test_a_plan_with_replay_and_repeated_text_has_a_page_without_controls(with_replay, tmp_path):
    made = {"flops": replay_settings()["flops"], "params": planted_replay.PARAMS}
    made |= {"specialize_tokens": {"law": 5e5}, "replay": {"law": 0.1}}
    assert explorer(with_replay, made)["replay"] == {"law": "10"}
    limited = {**made, "unique_tokens": {"law": 1e5}}
    plan_page.write_plan_page(with_replay, tmp_path / "page.html", law="fit.json", plan=limited)
    text = (tmp_path / "page.html").read_text()
    assert "does not count repeated text" in text and "splitlaw choose_split does" in text
    assert "explorer-data" not in text


def test_the_losses_of_the_page_are_those_of_the_package(fits):
    rng = np.random.default_rng(0)
    cases = []
    for number, fit in enumerate(fits):
        for domain in fit.domains:
            settings = random_settings(rng, fit, number) | {"names": [domain], "weights": [1]}
            settings["unique"] = [None if domain == "law" else 2e5]
            pretrain = [0.0, 1e6, 2e6, *10 ** rng.uniform(4, 8, 9)]
            specialize = [3e5, 0.0, 4e4, *10 ** rng.uniform(4, 8, 9)]
            case = {"fit": number, "settings": settings, "shares": [0] * len(pretrain)}
            cases.append({**case, "pretrain": pretrain, "branch": specialize})
    for case, found in zip(cases, in_javascript(LOSSES, fits, cases), strict=True):
        fit, settings = fits[case["fit"]], case["settings"]
        specialize, limit = np.array(case["branch"]), settings["unique"][0] or np.inf
        at = (
            settings["params"],
            case["pretrain"],
            specialize,
            fit.domains.index(settings["names"][0]),
        )
        unique = {"unique_specialize": np.minimum(specialize, limit)}
        expected = np.vstack([fit.losses(*at, **unique), fit.drawn_losses(*at, **unique)])
        assert np.isfinite(expected).any()
        np.testing.assert_allclose(found, np.where(np.isfinite(expected), expected, -1), rtol=1e-6)


def test_the_splits_of_the_page_are_those_of_the_planner(fits):
    rng = np.random.default_rng(0)
    two_stages = range(len(fits))
    chosen = [0, 1, 0, 1, 0, 1, *two_stages, *two_stages]
    cases = [{"fit": n, "settings": random_settings(rng, fits[n], i)} for i, n in enumerate(chosen)]
    for case, ours in zip(cases, in_javascript(PLANS, fits, cases), strict=True):
        settings = case["settings"]
        names = settings["names"]
        theirs = plan(
            fits[case["fit"]],
            flops=settings["flops"],
            params=settings["params"],
            domains=names,
            trunk=settings["trunk"],
            weights=dict(zip(names, settings["weights"], strict=True)),
            unique_tokens={n: u for n, u in zip(names, settings["unique"], strict=True) if u},
        )
        assert ours["mean"] == pytest.approx(theirs.predicted_mean_loss[0], rel=1e-5)
        # The loss is flat around its minimum, so splits may differ more than their losses.
        assert ours["share"] == pytest.approx(theirs.fraction_general, abs=5e-3)
        assert ours["interval"] == pytest.approx(theirs.interval["fraction_general"], abs=0.02)
        for baseline in theirs.baselines:
            expected = baseline.predicted_mean_loss[0]
            if expected is not None and baseline.strategy in ours["rows"]:
                # The planner's baselines are in whole tokens.
                assert ours["rows"][baseline.strategy] == pytest.approx(expected, rel=1e-4)
                wanted = [1e9 if x is None else x for x in baseline.compute_multiplier]
                # Where a curve is flat, small differences of the losses move the crossing.
                assert ours["multipliers"][baseline.strategy] == pytest.approx(wanted, rel=0.02)


def test_a_fit_alone_gives_a_page(planted, tmp_path, capsys):
    out = tmp_path / "plan_page.html"
    assert main(["report", "--law", str(planted / "law/fit.json"), "--out", str(out)]) == 0
    text = out.read_text()
    assert not re.search(r"""\b(?:src|href)=["'](?!#|data:)|@import|https?:""", text)
    assert 'id="explorer-data"' in text
    assert str(out) in capsys.readouterr().out


def test_the_initial_setting_is_the_plan(planted):
    fit = FitResult.load(planted / "law/fit.json")
    made = json.loads((planted / "split/plan.json").read_text())
    controls = explorer(fit, made)
    assert controls["flops"][1] == pytest.approx(np.log10(made["flops"]))
    assert controls["params"][1] == pytest.approx(np.log10(made["params"]))
    assert controls["weights"] == {"law": "1", "code": "1"}
    assert controls["domains"] == ["law", "code"]


def test_next_runs_are_shown_for_the_plan_that_they_were_chosen_for():
    row = {"batch": 1, "size": "w16", "params": 24_576, "seed": 0, "domain": "law"}
    row |= {"pretrain_tokens": 1e6, "specialize_tokens": 3e5, "flops": 2e11}
    row |= {"expected_regret_before": 0.004, "expected_regret_after": 0.001}
    runs, plan = pd.DataFrame([row] * 12), {"flops": 3e12, "expected_regret": 0.004001}
    found = next_runs_table(runs, plan)
    assert len(found.rows) == 10
    assert found.rows[0][1:5] == ["law", "24.6k", "1M", "300k"] and found.rows[0][-1] == "0.001"
    assert f"For the plan of {power(3e12)} FLOPs, not for other settings." in found.note
    other = next_runs_table(runs, plan | {"flops": 6e12, "expected_regret": 0.003})
    assert other.note.startswith("For another plan than that of this page")
    assert next_runs_table(runs, None).note.startswith("For the plan that next_runs was run for")
    assert next_runs_table(None, plan) is None


def test_data_cannot_end_the_script_element(planted):
    fit = FitResult.load(planted / "law/fit.json")
    assert "<" not in str(explorer(fit, None)["data"])


def test_a_page_contains_a_limited_number_of_draws(planted, monkeypatch):
    monkeypatch.setattr(plan_page, "DRAWS", 4)
    fit = FitResult.load(planted / "law/fit.json")
    members = law_data(fit)["law"]["members"]
    assert sum(member["draws"] for member in members) == 4
    assert explorer(fit, None)["draws"] == 4


def test_pages_of_many_domains_are_below_2_mb_by_fewer_draws(planted, monkeypatch, tmp_path):
    fit = FitResult.load(planted / "law/fit.json")
    assert explorer(fit, None)["draws"] == 40
    monkeypatch.setattr(plan_page, "BYTES", 60_000)
    assert 10 <= explorer(fit, None)["draws"] < 40
    plan_page.write_plan_page(fit, tmp_path / "plan_page.html", law="fit.json")
    assert (tmp_path / "plan_page.html").stat().st_size < 2e6


def test_a_law_of_one_stage_gets_a_page_without_controls(tmp_path):
    table = losses_table(("law",)).query("specialize_tokens == 0 and domain == 'law'")
    fit = fit_table(table, law="chinchilla", draws=0)
    plan_page.write_plan_page(fit, tmp_path / "plan_page.html", law="fit.json")
    text = (tmp_path / "plan_page.html").read_text()
    assert "This law knows no split" in text
    assert "explorer-data" not in text


def test_a_missing_package_is_named_with_its_extra(planted, capsys, monkeypatch):
    for name in [name for name in sys.modules if name.startswith("splitlaw.report")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert main(["report", "--law", str(planted / "law/fit.json")]) == 2
    wanted = "error: matplotlib is not installed; pip install 'splitlaw[report]'\n"
    assert capsys.readouterr().err == wanted
