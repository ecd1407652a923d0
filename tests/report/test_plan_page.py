import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from planted_results import SIZES
from playwright._impl._driver import compute_driver_executable

from splitlaw.cli import main
from splitlaw.laws import FORMS, FitResult, Member
from splitlaw.planner import plan
from splitlaw.report import plan_page
from splitlaw.report.plan_page import explorer, law_data

SETTINGS = 200
NODE = shutil.which("node") or compute_driver_executable()[0]
"""Playwright includes a JavaScript runtime."""
PLANNER = Path(plan_page.__file__).parent / "templates" / "planner.js"
RUN = """
const planner = require(process.argv[1]);
const cases = JSON.parse(require("fs").readFileSync(0, "utf8"));
console.log(JSON.stringify(cases.map(({ fit, settings }) => {
  settings.unique = settings.unique.map((u) => u ?? Infinity);
  const task = planner.makeTask(fit, settings);
  const surface = planner.pointSurface(fit, settings.names);
  const began = performance.now();
  const best = planner.bestSplit(surface, task);
  const rows = planner.baselines(task, fit.generalFractions)
    .map(([strategy, d, special]) => [strategy, planner.meanAt(surface, task, d, special)]);
  return { ...best, rows: Object.fromEntries(rows), share: planner.fraction(task, best),
    milliseconds: performance.now() - began };
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
    "coupled": {"B": 300.0, "rho": 0.02, "G": 0.01, "gamma": 0.6},
    "chinchilla": {},
}
"""Parameters of each law for which it differs clearly from the laws that it contains."""


def member(law, weight):
    """A law for two domains; the second is harder and learns less from general text."""
    values = []
    for hard in (1.0, 1.2):
        parameters = {**COMMON, **SHAPES[law]}
        parameters |= {name: hard * parameters[name] for name in ("A", "B")}
        if "kappa" in parameters:
            parameters["kappa"] /= hard**4
        parameters |= {name: np.log(parameters[name]) for name in FORMS[law].logs & set(parameters)}
        values.append([parameters[name] for name in FORMS[law].names])
    values = np.array(values)
    return Member(
        law=law, sharing="none", weight=weight, values=values, draws=np.zeros((0, *values.shape))
    )


@pytest.fixture(scope="module")
def fits(planted):
    """A fit of every law of two stages, and two of laws that are averaged."""
    base = FitResult.load(planted / "law/fit.json")
    mixed = (member("two_skills", 0.5), member("effective_tokens", 0.5))
    two_stages = [law for law in SHAPES if FORMS[law].stages == 2]
    # A law of one stage knows no split, and is planned with only in a mean with others.
    with_one_stage = (member("two_skills", 0.5), member("chinchilla", 0.5))
    alone = [(member(law, 1.0),) for law in two_stages]
    return [
        replace(base, members=members, others=(), stand_ins=())
        for members in (mixed, with_one_stage, *alone)
    ]


def random_settings(rng, fit, number):
    """Random settings: budget, size, domains, weights, unique tokens, kind of trunk."""
    names = list(fit.domains) if rng.random() < 0.8 else [str(rng.choice(fit.domains))]
    params = float(np.exp(rng.uniform(*np.log([SIZES["w16"] / 2, SIZES["w56"] * 4]))))
    flops = float(10 ** rng.uniform(11.5, 14.5))
    limited = rng.random(len(names)) < 0.3
    return {
        "names": names,
        "params": params,
        "flops": flops,
        "weights": rng.uniform(0.5, 3, len(names)).tolist(),
        "unique": [float(10 ** rng.uniform(5, 7)) if on else None for on in limited],
        "trunk": "shared" if number % 3 else "independent",
    }


def test_the_arithmetic_of_the_page_agrees_with_the_planner(fits):
    rng = np.random.default_rng(0)
    cases = []
    for number in range(SETTINGS):
        fit = fits[number % len(fits)]
        cases.append((fit, random_settings(rng, fit, number)))
    sent = json.dumps([{"fit": law_data(fit), "settings": settings} for fit, settings in cases])
    done = subprocess.run(
        [NODE, "-e", RUN, str(PLANNER)], input=sent, capture_output=True, text=True, check=True
    )
    for (fit, settings), ours in zip(cases, json.loads(done.stdout), strict=True):
        names = settings["names"]
        theirs = plan(
            fit,
            flops=settings["flops"],
            params=settings["params"],
            domains=names,
            trunk=settings["trunk"],
            weights=dict(zip(names, settings["weights"], strict=True)),
            unique_tokens={n: u for n, u in zip(names, settings["unique"], strict=True) if u},
        )
        assert ours["mean"] == pytest.approx(theirs.predicted_mean_loss[0], rel=1e-3)
        # The loss is flat around its minimum, so splits may differ more than their losses.
        assert ours["share"] == pytest.approx(theirs.fraction_general, abs=5e-3)
        for baseline in theirs.baselines:
            expected = baseline.predicted_mean_loss[0]
            if expected is not None:
                assert ours["rows"][baseline.strategy] == pytest.approx(expected, rel=1e-3)


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
    assert controls["weights"] == {"law": 1.0, "code": 1.0}
    assert controls["domains"] == ["law", "code"]


def test_data_cannot_end_the_script_element(planted):
    fit = FitResult.load(planted / "law/fit.json")
    assert "<" not in str(explorer(fit, None)["data"])


def test_a_page_contains_a_limited_number_of_draws(planted, monkeypatch):
    monkeypatch.setattr(plan_page, "DRAWS", 3)
    fit = FitResult.load(planted / "law/fit.json")
    assert isinstance(fit.members[0], Member)
    carried = law_data(fit)["members"][0]
    assert carried["draws"] == 3
    assert len(carried["drawn"]["law"]["E"]) == 3


def test_a_missing_package_is_named_with_its_extra(planted, capsys, monkeypatch):
    for name in [name for name in sys.modules if name.startswith("splitlaw.report")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert main(["report", "--law", str(planted / "law/fit.json")]) == 2
    wanted = "error: matplotlib is not installed; pip install 'splitlaw[report]'\n"
    assert capsys.readouterr().err == wanted
