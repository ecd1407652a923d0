"""The learning rate as a power of N: planted optima are recovered; a real sweep runs through."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from planted_tokens import JOB

from splitlaw.common.errors import UserError
from splitlaw.experiment.columns import LEARNING_RATES
from splitlaw.stages.learning_rates import fit_rule, near_best_rate, write_rule

RATES = [1e-3, 2e-3, 4e-3, 8e-3, 16e-3]


def planted(size, params, best, *, noise=0.0, rates=RATES, curvature=0.1):
    generator = np.random.default_rng(params)
    off = np.log(np.array(rates) / best)
    losses = 3.0 + curvature * off**2 + noise * generator.normal(size=len(rates))
    rows = [
        (size, params, rate, 1000, loss, 0.01) for rate, loss in zip(rates, losses, strict=True)
    ]
    return pd.DataFrame(rows, columns=LEARNING_RATES)


def test_a_planted_rule_is_recovered(tmp_path):
    tables = []
    for params in (10_000, 20_000, 40_000):
        tables.append(tmp_path / f"{params}.csv")
        rows = planted(f"s{params}", params, 4e-3 * (params / 20_000) ** -0.5, noise=5e-3)
        rows.to_csv(tables[-1], index=False)
    words = write_rule(tables, reference_params=20_000, out=tmp_path / "rule.json")
    rule = json.loads((tmp_path / "rule.json").read_text())
    off = np.log(rule["learning_rate"] / 4e-3)
    assert abs(off) < 3 * rule["learning_rate_error"] < 0.3
    assert abs(rule["exponent"] + 0.5) < 3 * rule["exponent_error"] < 0.3
    assert rule["curvature"] == pytest.approx(0.1, rel=0.2)
    assert rule["warnings"] == []
    assert rule["rates"]["s10000"] > rule["rates"]["s40000"]
    assert "learning_rate_exponent: -0." in words
    assert len(pd.read_csv(tmp_path / "rates.csv")) == 15


def test_a_curvature_that_grows_with_n_does_not_bias_the_rule():
    rows = [
        planted(f"s{n}", n, 4e-3 * (n / 20_000) ** -0.5, curvature=0.1 * n / 20_000, noise=1e-3)
        for n in (5_000, 20_000, 80_000)
    ]
    rule = fit_rule(pd.concat(rows), 20_000)
    assert rule.at(80_000) == pytest.approx(2e-3, rel=0.03)
    assert rule.at(5_000) == pytest.approx(8e-3, rel=0.1)
    assert rule.curvature_exponent == pytest.approx(1, abs=0.1)


def test_two_sizes_are_enough():
    rows = [planted(f"s{n}", n, 4e-3 * (n / 20_000) ** -0.5) for n in (10_000, 40_000)]
    rule = fit_rule(pd.concat(rows), 20_000)
    assert rule.exponent == pytest.approx(-0.5, abs=0.01)
    assert rule.curvature_exponent == 0


def test_a_best_rate_at_the_edge_of_those_tried_is_reported(tmp_path):
    for size, params, best in (("a", 1000, 3e-3), ("b", 2000, 1e-4)):
        planted(size, params, best).to_csv(tmp_path / f"{size}.csv", index=False)
    tables = [tmp_path / "a.csv", tmp_path / "b.csv"]
    words = write_rule(tables, reference_params=1000, out=tmp_path / "rule.json")
    assert "the best rate of b is the smallest one tried, 0.001" in words


def test_rates_that_all_diverge_are_refused():
    rows = planted("a", 1000, 3e-3)
    rows.loc[2:, "loss"] = np.nan
    with pytest.raises(UserError, match="only 2 of them trained size a"):
        near_best_rate(rows)


def test_too_few_runs_near_the_best_rate_are_refused():
    far = [1e-3, 5e-3, 25e-3]
    rows = [planted(f"s{n}", n, 5e-3, rates=far) for n in (10_000, 20_000, 40_000)]
    with pytest.raises(UserError, match="only 3 runs are near the best rate of their size, and 7"):
        fit_rule(pd.concat(rows), 20_000)


def test_losses_that_hardly_depend_on_the_rate_are_refused():
    """Of a few steps at very low rates; the fit's best rate would be infinite."""
    sizes = {262_808: [10.39801, 10.39806, 10.39820, 10.39864]}
    sizes[526_896] = [10.39806, 10.39702, 10.39499, 10.39033]
    rates = [3e-4, 6e-4, 1.2e-3, 2.4e-3]
    rows = [
        pd.DataFrame({"size": str(n), "params": n, "learning_rate": rates, "loss": losses})
        for n, losses in sizes.items()
    ]
    with pytest.raises(UserError, match="no lowest value near the rates that were tried"):
        fit_rule(pd.concat(rows), 125_000_000)


def test_a_sweep_continues_after_a_rate_that_diverges(root, tokens):
    out = tokens / "learning_rate" / "s.csv"
    words = ["--config", json.dumps(JOB), "--size", "s", "--results", str(tokens)]
    words += ["--execution", '{"compile": false, "device": "cpu"}', "--out", str(out)]
    words += ["--rates", "1e30", "0.003", "0.0001", "--tokens", "3200"]
    script = root / "workflow_scripts" / "sweep_learning_rate.py"
    done = subprocess.run([sys.executable, script, *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    rows = pd.read_csv(out).set_index("learning_rate")
    assert rows["tokens"].to_list() == [3200, 3200, 3200]
    assert rows.loc[0.003, "loss"] < rows.loc[0.0001, "loss"] < 4
    assert np.isnan(rows.loc[1e30, "loss"])


def test_a_base_has_one_size_and_no_exponent():
    rule = fit_rule(planted("base", 20_000, 3e-3, noise=1e-3), 20_000)
    assert rule.learning_rate == pytest.approx(3e-3, rel=0.05)
    assert (rule.exponent, rule.exponent_error, rule.curvature_exponent) == (0, 0, 0)
