"""Branches whose tokens fall into the cooldown, where its part of a run is known."""

import json
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from laws.planted import cells, law
from splitlaw.common.errors import UserError
from splitlaw.experiment.schedule import learning_rate_factor
from splitlaw.laws import FORMS, FitResult, fit_table
from splitlaw.laws.fitting import Settings, fit_one
from splitlaw.laws.log_loss import COOLDOWN, javascript, mean_rate
from splitlaw.laws.mean import Mean
from splitlaw.laws.points import Points
from splitlaw.laws.read import read_table
from splitlaw.laws.rows import make_frame, make_rows

FRACTION, EXPONENT = 0.2, 0.9
DOMAINS = ("a", "b")


@pytest.fixture(scope="module")
def table():
    """Losses of a known law in which D' counts by the learning rate of its tokens."""
    points = cells(DOMAINS, sizes=(1e7, 2e7, 4e7))
    d, s = points["pretrain_tokens"], points["specialize_tokens"]
    points["specialize_tokens"] = s * mean_rate(s / (d + s), FRACTION) ** EXPONENT
    losses = law("coupled").predict(points)["loss"].to_numpy()
    noise = np.exp(0.002 * np.random.default_rng(0).normal(size=len(points)))
    # `coupled` is no function of D + D', so that only D' is another.
    return points.assign(specialize_tokens=s, loss=losses * noise)


def fitted(table, cooldown):
    """A law of the domains' losses with a cooldown, as `fit_table` has for the general loss."""
    settings = Settings("on", 40, 0, None, 0.0, cooldown)
    return fit_one(read_table(table).fit, None, [FORMS["coupled"]], settings, lambda done, of: None)


@pytest.fixture(scope="module")
def fit(table):
    return fitted(table, FRACTION)


def frame_of(table: pd.DataFrame):
    read = read_table(table).fit
    return read, make_frame(read, cooldown=FRACTION)


@pytest.mark.parametrize("share", [0.0005, 0.05, 0.2, 0.5, 1.0])
def test_the_mean_rate_is_that_of_the_schedule(share):
    total = 20_000
    steps = range(total - round(share * total), total)
    factors = [learning_rate_factor(t, warmup=1, total=total, fraction=FRACTION) for t in steps]
    # The schedule is in steps: its mean lies half a step of the cooldown above that of the line.
    assert float(mean_rate(share, FRACTION)) == pytest.approx(np.mean(factors), abs=2e-4)


def test_a_known_cooldown_gives_smaller_errors_and_its_exponent(table, fit):
    without = fitted(table, None)
    assert without.members[0].kernel.amplitude > 2 * fit.members[0].kernel.amplitude
    pretrain, specialize = 4e9, np.array([2e7, 1e8])
    short = pd.DataFrame(
        {"params": 2e7, "pretrain_tokens": pretrain, "specialize_tokens": specialize, "domain": "a"}
    )
    counted = specialize * mean_rate(specialize / (pretrain + specialize), FRACTION) ** EXPONENT
    truth = law("coupled").predict(short.assign(specialize_tokens=counted))["loss"]
    errors = [
        np.abs(one.predict(short)["loss"] / truth.to_numpy() - 1).max() for one in (fit, without)
    ]
    assert errors[0] < 0.01 and errors[0] < errors[1]


def test_a_file_keeps_the_cooldown_and_shows_its_exponent(fit, tmp_path):
    fit.save(tmp_path / "fit.json")
    shown = json.loads((tmp_path / "fit.json").read_text())["cooldown"]
    assert shown["fraction"] == FRACTION
    assert shown["annealing"] == pytest.approx(EXPONENT, rel=0.3)
    at = 2e7, [1e9, 4e9], [1e7, 1e9], [0, 1]
    np.testing.assert_array_equal(
        FitResult.load(tmp_path / "fit.json").losses(*at), fit.losses(*at)
    )


def test_the_derivatives_are_those_of_the_law(table):
    read, frame = frame_of(table)
    rows = make_rows(read, frame)
    mean = Mean(FORMS["coupled"], frame, 2)
    vector = mean.centre
    value, jacobian = mean.jacobian(vector, rows.x, rows.domain)
    np.testing.assert_allclose(value, mean.evaluate(vector, rows.x, rows.domain), rtol=1e-13)
    for j in range(mean.size):
        step = np.zeros(mean.size)
        step[j] = 1e-5
        up, down = (mean.evaluate(vector + s, rows.x, rows.domain) for s in (step, -step))
        np.testing.assert_allclose(jacobian[:, j], (up - down) / 2e-5, rtol=1e-5, atol=1e-8)


@pytest.mark.skipif(shutil.which("node") is None, reason="requires node")
def test_the_javascript_source_gives_the_same_losses(table):
    _, frame = frame_of(table)
    frame = replace(frame, replays=True)
    mean = Mean(FORMS["two_skills"], frame, 1)
    n, d, s = (np.array(v) for v in ([2e7] * 4, [0.0, 4e9, 4e9, 1e9], [1e8, 1e7, 1e9, 0.0]))
    x = Points.of(frame.units, n, d, s, replay=np.array([0.0, 0.1, 0.5, 0.0]))
    names = ("N", "D", "S", "T", "PD", "PS", "r", "R")
    passes = x.pretrain_passes, x.specialize_passes
    values = zip(x.N, x.D, x.S, x.T, *passes, x.replay, x.R, strict=True)
    points = [dict(zip(names, map(float, row), strict=True)) for row in values]
    form = mean.form
    common = {name: float(np.exp(prior.centre)) for name, prior in mean.common.items()}
    assert set(COOLDOWN) <= set(common)
    given = json.dumps(
        {"p": {k: float(v) for k, v in form.values(form.centre).items()}, "c": common}
    )
    script = (
        f"const f = (p, c, {', '.join(names)}) => {javascript(form, frame)};"
        f"const q = {given};"
        f"console.log(JSON.stringify({json.dumps(points)}.map(x => "
        f"f(q.p, q.c, {', '.join(f'x.{name}' for name in names)}))))"
    )
    ran = subprocess.run(["node"], input=script, capture_output=True, text=True, check=True)
    expected = mean.evaluate(mean.centre, x, np.zeros(4, dtype=int))
    np.testing.assert_allclose(json.loads(ran.stdout), expected, rtol=1e-12)


@pytest.mark.parametrize("fraction", [0.0, -0.1, 1.5, float("nan")])
def test_a_part_of_a_run_is_above_0_and_at_most_1(table, fraction):
    with pytest.raises(UserError, match=r"cooldown_fraction is .*; give a number above 0"):
        fit_table(table, cooldown_fraction=fraction)


def test_a_fraction_that_no_law_uses_is_reported(table):
    """It belongs to the law of the general loss, and to fits with a discrepancy."""
    own = table.assign(train_domain=table["domain"])
    both = pd.concat([own, own.assign(domain="general", loss=own["loss"] + 1)])
    for rows, reason in ((table, "no losses on general"), (both, "without discrepancy")):
        made = fit_table(
            rows, law="coupled", discrepancy="none", draws=0, cooldown_fraction=FRACTION
        )
        notes = [note for note in made.warnings if "cooldown fraction is not used" in note]
        assert len(notes) == 1 and reason in notes[0]
