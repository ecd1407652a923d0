"""Functions drawn from the posterior: repeatable, near the data, and wide beyond."""

import numpy as np
import pandas as pd
import pytest

from laws.planted import GENERAL, SIZES, SPECIAL, cells, law, table
from splitlaw.laws import FORMS, fit_table
from splitlaw.laws.draw import draw_member
from splitlaw.laws.hyper import Distances, start_hyper
from splitlaw.laws.posterior import fit_posterior, linearised
from splitlaw.laws.read import read_table
from splitlaw.laws.rows import make_frame, make_rows


def bent(frame: pd.DataFrame, size: float = 0.01) -> pd.DataFrame:
    """Losses with a smooth error that no form of the law has."""
    n, d = np.log(frame["params"]), np.log(frame["pretrain_tokens"] + 1e8)
    s = np.log(frame["specialize_tokens"] + 3e7)
    return frame.assign(loss=frame["loss"] * np.exp(size * np.sin(1.1 * n + d) * np.cos(0.8 * s)))


@pytest.fixture(scope="module")
def truth():
    return law("two_skills")


@pytest.fixture(scope="module")
def fit(truth):
    return fit_table(bent(table(truth, noise=2e-3)), law="two_skills", draws=200)


def at(points: pd.DataFrame) -> tuple:
    domain = (points["domain"] == "b").to_numpy(int)
    return (*(points[c].to_numpy() for c in points.columns[:3]), domain)


def test_a_draw_has_the_same_value_at_a_point_in_every_call(fit):
    points = cells(fit.domains)
    whole = fit.drawn_losses(*at(points))
    some = fit.drawn_losses(*at(points.iloc[[7, 3]]))
    np.testing.assert_allclose(some, whole[:, [7, 3]], rtol=1e-12)
    one = fit.drawn_losses(3e7, 1e9, np.array([[2e8], [4e8]]), np.array([0, 1]))
    assert one.shape == (fit.n_draws, 2, 2)


def test_near_data_draws_agree_and_follow_the_bend_beyond_they_widen(fit, truth):
    inside = bent(truth.predict(cells(truth.domains, pretrain=(7e8, 1.5e9), specialize=(1.8e8,))))
    drawn = np.log(fit.drawn_losses(*at(inside)))
    np.testing.assert_allclose(drawn.mean(0), np.log(fit.losses(*at(inside))), atol=2e-3)
    assert np.abs(drawn.mean(0) - np.log(inside["loss"])).mean() < 4e-3
    spreads = [drawn.std(0).mean()]
    for factor in (4, 16, 64):
        far = cells(truth.domains, sizes=(factor * SIZES[-1],), pretrain=(factor * GENERAL[-1],))
        spreads.append(np.log(fit.drawn_losses(*at(far))).std(0).mean())
    assert spreads[0] < 5e-3 and (np.diff(spreads) > 0).all() and spreads[-1] > 4 * spreads[0]


def test_draws_have_the_mean_and_covariance_of_the_exact_posterior(truth):
    """Without data between, and with the mean replaced by its tangent, all is normal."""
    frame = table(truth, noise=3e-3, sizes=SIZES[:2], pretrain=GENERAL[::2], specialize=SPECIAL[1:])
    data = read_table(frame).fit
    rows = make_rows(data, make_frame(data))
    posterior = fit_posterior(FORMS["two_skills"], rows)
    member = draw_member(posterior, 1.0, 4000, np.random.default_rng(0))
    new = read_table(
        table(truth, sizes=(1.4e7, 3e7), pretrain=(6e8, 5e9), specialize=(1.2e8, 7e8))
    ).fit
    points = make_rows(new, rows.frame)
    given = (points.coordinates, np.zeros(len(points)), points.x, points.domain)
    drawn = member.log_losses(*given, drawn=True)

    kernel, hyper = posterior.hyper.kernel(rows), posterior.hyper
    _, j = posterior.mean.jacobian(posterior.vector, rows.x, rows.domain)
    _, jn = posterior.mean.jacobian(posterior.vector, points.x, points.domain)
    prior = posterior.mean.prior_covariance

    def between(a, da, ja, b, db, jb):
        own = kernel.smooth(a, b) + kernel.slope**2 * a @ b.T
        return own * (da[:, None] == db[None]) + ja @ prior @ jb.T

    here, there = (rows.coordinates, rows.domain, j), (points.coordinates, points.domain, jn)
    trunk = hyper["trunk"] ** 2 * rows.trunk_matrix @ rows.trunk_matrix.T
    full = between(*here, *here) + trunk + np.diag(hyper.noise(rows))
    cross = between(*there, *here)
    exact = between(*there, *there) - cross @ np.linalg.solve(full, cross.T)
    tangent = linearised(posterior.mean, rows, posterior.vector, Distances(rows)).target
    mean = posterior.mean.evaluate(posterior.vector, points.x, points.domain)
    mean += jn @ (posterior.mean.centre - posterior.vector) + cross @ np.linalg.solve(full, tangent)
    found = member.log_losses(*given, drawn=False)[0]
    np.testing.assert_allclose(found, mean, atol=2e-4)
    np.testing.assert_allclose(drawn.mean(0), mean, atol=2e-3)
    np.testing.assert_allclose(drawn.std(0), np.sqrt(np.diag(exact)), rtol=0.15)


def test_without_a_bend_the_discrepancy_is_small_and_noise_is_found(truth):
    frame = table(truth, noise=2e-3)
    data = read_table(frame).fit
    hyper = fit_posterior(FORMS["two_skills"], make_rows(data, make_frame(data))).hyper
    assert hyper["row"] == pytest.approx(2e-3, rel=0.3)
    assert hyper["amplitude"] < 0.006
    data = read_table(bent(frame, 0.02)).fit
    hyper = fit_posterior(FORMS["two_skills"], make_rows(data, make_frame(data))).hyper
    assert 0.007 < hyper["amplitude"] < 0.04


def test_effects_of_trunks_are_told_from_noise(truth):
    frame = table(truth, specialize=SPECIAL[1:])
    rng = np.random.default_rng(0)
    parts = []
    for seed in range(6):
        effect = dict(zip(SIZES, 0.006 * rng.standard_normal(len(SIZES)), strict=True))
        shift = frame["params"].map(effect) + 0.002 * rng.standard_normal(len(frame))
        parts.append(frame.assign(seed=seed, loss=frame["loss"] * np.exp(shift)))
    data = read_table(pd.concat(parts)).fit
    rows = make_rows(data, make_frame(data))
    assert rows.trunk_identified
    hyper = fit_posterior(FORMS["two_skills"], rows).hyper
    assert hyper["trunk"] == pytest.approx(0.006, rel=0.4)
    assert hyper["row"] == pytest.approx(0.002, rel=0.2)
    one = read_table(parts[0]).fit
    start = start_hyper(make_rows(one, make_frame(one)))
    assert "trunk" not in start and start["trunk"] == 0.004


def test_gross_errors_do_not_hide_smaller_ones(truth):
    clean = table(truth, noise=2e-3)
    spoiled = clean.copy()
    factors = {11: 10.0, 57: 0.1, 90: 2.0, 101: 1.3, 120: 0.85, 140: 1.15}
    for row, factor in factors.items():
        spoiled.loc[row, "loss"] *= factor
    data = read_table(spoiled).fit
    found = fit_posterior(FORMS["two_skills"], make_rows(data, make_frame(data)))
    assert found.hyper["row"] < 4e-3
    assert (found.rows.weight < 1).sum() == len(factors)
    fits = [fit_table(f, law="two_skills", draws=0) for f in (clean, spoiled)]
    errors = [[entry["mre"] for entry in fit.holdout] for fit in fits]
    # The two rows that are 15% off count, those that are off by 30% or more do not.
    np.testing.assert_allclose(errors[1], errors[0], atol=0.01)


def test_outlying_rows_are_named_and_hardly_matter(fit, truth):
    frame = bent(table(truth, noise=2e-3))
    frame.loc[57, "loss"] *= 1.3
    spoiled = fit_table(frame, law="two_skills", draws=0)
    named = [w for w in spoiled.warnings if "down-weighted" in w]
    row = frame.loc[57]
    assert len(named) == 1 and named[0].startswith("1 row is far from the others")
    assert f"{row['domain']} at N = {row['params']:g}, D = {row['pretrain_tokens']:g}" in named[0]
    points = cells(truth.domains)
    change = np.log(spoiled.losses(*at(points)) / fit.losses(*at(points)))
    assert np.abs(change).max() < 0.01
    assert not any("down-weighted" in w for w in fit.warnings)
